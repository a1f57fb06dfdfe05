package io.engram4j.packaging;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** The jars that this build made, and what one does with them. */
final class Artifacts {
  static final Path ROOT = Path.of("..", "..").toAbsolutePath().normalize();
  static final String VERSION = "0.1.0-SNAPSHOT";

  private Artifacts() {}

  /** What a process printed, errors included, and how it ended. */
  record Result(int exit, String out) {}

  /** Returns what the tests' class path has: jars, since the modules before were packaged. */
  static List<Path> classPath() {
    String path =
        System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
    return Arrays.stream(path.split(java.io.File.pathSeparator))
        .map(Path::of)
        .filter(file -> file.toString().endsWith(".jar"))
        .toList();
  }

  /** Returns this machine's platform if its natives were built, else the empty text. */
  static String ownPlatform() {
    return System.getProperty("natives.own", "");
  }

  /** Returns the platforms whose natives this build made by cross compilers. */
  static List<String> crossPlatforms() {
    return Arrays.stream(System.getProperty("natives.cross", "").split(" ", -1))
        .filter(platform -> !platform.isBlank())
        .toList();
  }

  static Path nativesJar(String platform) {
    String name = "engram4j-natives-" + platform + "-" + VERSION + ".jar";
    return ROOT.resolve("java/natives/" + platform + "/target").resolve(name);
  }

  /** Puts every module's pom and jar into a local repository, as {@code install} does. */
  static void install(Path repository) throws IOException {
    put(repository, "engram4j", ROOT.resolve("pom.xml"), null);
    try (Stream<Path> poms = Files.walk(ROOT.resolve("java"), 3)) {
      for (Path pom : poms.filter(file -> file.endsWith("pom.xml")).toList()) {
        installModule(repository, pom);
      }
    }
    installModule(repository, ROOT.resolve("bindings/pom.xml"));
  }

  private static void installModule(Path repository, Path pom) throws IOException {
    Path module = pom.getParent();
    if (module == null || module.getParent() == null) {
      return;
    }
    String text = Files.readString(pom);
    String own = text.substring(text.indexOf("</parent>"));
    String artifact = own.substring(own.indexOf("<artifactId>") + 12, own.indexOf("</artifactId>"));
    String name = artifact + "-" + VERSION + ".jar";
    Path jar = module.resolve("target").resolve(name);
    Path dist = module.resolve("target/dist").resolve(name); // the command's
    put(repository, artifact, pom, Files.exists(jar) ? jar : Files.exists(dist) ? dist : null);
  }

  private static void put(
      Path repository, String artifact, Path pom, @org.jspecify.annotations.Nullable Path jar)
      throws IOException {
    Path place = repository.resolve("io/engram4j").resolve(artifact).resolve(VERSION);
    Files.createDirectories(place);
    String name = artifact + "-" + VERSION;
    Files.copy(pom, place.resolve(name + ".pom"), StandardCopyOption.REPLACE_EXISTING);
    if (jar != null) {
      Files.copy(jar, place.resolve(name + ".jar"), StandardCopyOption.REPLACE_EXISTING);
    }
  }

  static Result run(Path directory, Map<String, String> environment, List<String> command)
      throws IOException, InterruptedException {
    Path out = Files.createTempFile(directory, "out", ".txt");
    ProcessBuilder builder =
        new ProcessBuilder(command)
            .directory(directory.toFile())
            .redirectErrorStream(true)
            .redirectOutput(out.toFile());
    builder.environment().putAll(environment);
    builder.environment().put("LC_ALL", "C.UTF-8");
    Process process = builder.start();
    if (!process.waitFor(5, TimeUnit.MINUTES)) {
      process.destroyForcibly();
      throw new IllegalStateException(command + " did not end: " + Files.readString(out));
    }
    return new Result(process.exitValue(), Files.readString(out));
  }

  static String java() {
    return tool("java");
  }

  static String tool(String name) {
    return Path.of(System.getProperty("java.home"), "bin", name).toString();
  }
}
