package io.engram4j.packaging;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.tck.Golden;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.api.io.TempDir;

/** A project of somebody else's, with nothing but what the README says. */
final class ConsumerTest {
  private static final boolean HAS_NATIVES = !Artifacts.ownPlatform().isEmpty();
  private static final String BACKEND =
      HAS_NATIVES ? "Engram backend: cpu" : "Engram backend: java";

  @TempDir static Path directory;
  private static String readme = "";

  @BeforeAll
  static void read() throws IOException {
    readme = Files.readString(Artifacts.ROOT.resolve("README.md"));
    Golden.extract(directory.resolve("golden"));
  }

  private static String block(String language) {
    Matcher block =
        Pattern.compile("```" + language + "\n(.*?)```", Pattern.DOTALL).matcher(readme);
    assertTrue(block.find(), "README.md has no block of " + language);
    return block.group(1);
  }

  /** The README's dependencies, less the natives where they were not built. */
  private static String snippet() {
    String all = block("xml").replace("linux-x86_64", Artifacts.ownPlatform());
    return HAS_NATIVES ? all : all.substring(0, all.indexOf("<dependency> <!--"));
  }

  private static String model() {
    return directory.resolve("golden/mini-v41").toString();
  }

  private static String joined(List<Path> jars) {
    return jars.stream().map(Path::toString).collect(Collectors.joining(File.pathSeparator));
  }

  private static void requireGood(Artifacts.Result result, String... parts) {
    assertEquals(0, result.exit(), result.out());
    for (String part : parts) {
      assertTrue(result.out().contains(part), result.out());
    }
  }

  /** The README's lines in a class that has what an engine gives them. */
  private static String example() {
    return """
    import io.engram4j.*;
    import io.engram4j.hf.EngramModels;
    import java.nio.file.Path;

    public class Example {
      public static void main(String[] args) throws Exception {
        Path directory = Path.of(args[0]);
        int[] prompt = {79, 110, 309, 505};
        float[] hidden = new float[1 << 16];
    %s
        System.out.println(hidden[0]);
      }
    }
    """
        .formatted(block("java"));
  }

  /** Compiles the README's lines and runs them, as one does without any build tool. */
  private static void runOnClassPath(Path project, String classPath, String... logged)
      throws IOException, InterruptedException {
    Path source = Files.writeString(project.resolve("Example.java"), example());
    String classes = project.resolve("classes").toString();
    requireGood(
        Artifacts.run(
            project,
            Map.of(),
            List.of(Artifacts.tool("javac"), "-d", classes, "-cp", classPath, source.toString())));
    requireGood(
        Artifacts.run(
            project,
            Map.of(),
            List.of(
                Artifacts.java(),
                "--enable-native-access=ALL-UNNAMED",
                "--illegal-native-access=deny",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
                "-cp",
                classPath + File.pathSeparator + classes,
                "Example",
                model())),
        logged);
  }

  @Test
  void onAClassPath() throws IOException, InterruptedException {
    Path project = Files.createDirectory(directory.resolve("class path"));
    runOnClassPath(project, joined(Artifacts.classPath()), BACKEND);
  }

  @Test
  void inAnEmptyMavenProject() throws IOException, InterruptedException {
    Path project = Files.createDirectory(directory.resolve("maven"));
    String path = resolve(project, snippet());
    runOnClassPath(project, path); // without a binding SLF4J says nothing of backends
    List<String> modules = new ArrayList<>();
    if (HAS_NATIVES) {
      modules.add("--add-modules");
      modules.add("io.engram4j.bridge," + natives(Artifacts.ownPlatform()));
    }
    onTheModulePath(project, path, "io.engram4j.hf", modules);
  }

  static boolean hasAll() {
    return !System.getProperty("natives.all", "").isEmpty();
  }

  /** One dependency, and one module to require: the kernels come by themselves. */
  @Test
  @EnabledIf("hasAll")
  void withTheOneDependency() throws IOException, InterruptedException {
    Path project = Files.createDirectory(directory.resolve("all"));
    String dependency =
        """
        <dependency>
          <groupId>io.engram4j</groupId>
          <artifactId>engram4j-all</artifactId>
          <version>%s</version>
        </dependency>
        """
            .formatted(Artifacts.VERSION);
    String path = resolve(project, dependency);
    for (String platform : Artifacts.crossPlatforms()) {
      assertTrue(path.contains("engram4j-natives-" + platform), path);
    }
    runOnClassPath(project, path);
    onTheModulePath(project, path, "io.engram4j.all", List.of());
  }

  private static String natives(String platform) {
    return "io.engram4j.natives." + platform.replace('-', '_');
  }

  /**
   * Returns the class path that Maven makes of a project's dependencies, from a repository of this
   * build; other libraries are the user's.
   */
  private static String resolve(Path project, String dependencies)
      throws IOException, InterruptedException {
    Path repository = project.resolve("repository");
    Artifacts.install(repository);
    Files.writeString(
        project.resolve("pom.xml"),
        """
        <project xmlns="http://maven.apache.org/POM/4.0.0">
          <modelVersion>4.0.0</modelVersion>
          <groupId>org.example</groupId>
          <artifactId>example</artifactId>
          <version>1</version>
          <dependencies>
        %s
          </dependencies>
        </project>
        """
            .formatted(dependencies));
    String maven = Path.of(System.getProperty("maven.home"), "bin", "mvn").toString();
    List<String> command =
        List.of(
            maven,
            "-B",
            "-q",
            "-Dmaven.repo.local=" + repository,
            "-Dmaven.repo.local.tail=" + System.getProperty("local.repository"),
            "-Dmdep.outputFile=" + project.resolve("path.txt"),
            "org.apache.maven.plugins:maven-dependency-plugin:3.10.0:build-classpath");
    Map<String, String> environment = Map.of("JAVA_HOME", System.getProperty("java.home"));
    requireGood(Artifacts.run(project, environment, command));
    String path = Files.readString(project.resolve("path.txt"));
    for (String jar : path.split(File.pathSeparator, -1)) {
      boolean ours = jar.contains("engram4j-");
      assertTrue(!ours || jar.startsWith(repository.toString()), jar + " is not of this build");
    }
    assertTrue(path.contains("engram4j-core"), path);
    return path;
  }

  private static void onTheModulePath(
      Path project, String path, String required, List<String> added)
      throws IOException, InterruptedException {
    Path sources = Files.createDirectories(project.resolve("module/example"));
    Files.writeString(sources.resolve("Example.java"), "package example;\n" + example());
    Path declaration = Objects.requireNonNull(sources.getParent()).resolve("module-info.java");
    Files.writeString(declaration, "module example { requires " + required + "; }\n");
    String classes = project.resolve("modules").toString();
    requireGood(
        Artifacts.run(
            project,
            Map.of(),
            List.of(
                Artifacts.tool("javac"),
                "-d",
                classes,
                "-p",
                path,
                declaration.toString(),
                sources.resolve("Example.java").toString())));
    List<String> command =
        new ArrayList<>(
            List.of(
                Artifacts.java(), "-p", path + File.pathSeparator + classes, "-Dengram.backend="));
    command.set(command.size() - 1, "-Dengram.backend=" + (HAS_NATIVES ? "cpu" : "java"));
    command.addAll(added);
    if (HAS_NATIVES) {
      command.addAll(
          List.of(
              "--enable-native-access=io.engram4j.bridge,io.engram4j.bindings",
              "--illegal-native-access=deny"));
    }
    command.addAll(List.of("-m", "example/example.Example", model()));
    requireGood(Artifacts.run(project, Map.of(), command));
  }

  @Test
  void theCommandIsOneJar() throws IOException, InterruptedException {
    Path jar =
        Artifacts.ROOT.resolve(
            "java/cli/target/dist/engram4j-cli-" + Artifacts.VERSION + "-all.jar");
    if (!Files.exists(jar)) {
      jar =
          Artifacts.ROOT.resolve("java/cli/target/engram4j-cli-" + Artifacts.VERSION + "-all.jar");
    }
    requireGood(
        Artifacts.run(
            directory, Map.of(), List.of(Artifacts.java(), "-jar", jar.toString(), "--help")),
        "inspect",
        "verify");
    requireGood(
        Artifacts.run(
            directory,
            Map.of(),
            List.of(Artifacts.java(), "-jar", jar.toString(), "verify", model())),
        "pass");
  }
}
