package io.engram4j.natives.linux_x86_64;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.Backends;
import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * A library that cannot be used ends in the Java backend with one warning, or in an exception if
 * the cpu backend was asked for; each case in a JVM of its own.
 */
class LoaderTest {
  private static final String CUDA = "/io.engram4j.natives/linux-x86_64/libengram_cuda.so";

  @TempDir Path directory;

  /** Prints the backend that is chosen. */
  static final class Choose {
    private Choose() {}

    public static void main(String[] args) {
      System.out.println(Backends.select().name());
      if (Boolean.getBoolean("describe")) {
        System.out.println(Backends.select().description());
      }
    }
  }

  /** What a JVM printed and how it ended. */
  private record Result(int exit, String out) {}

  private Process start(Path output, String... options) throws IOException {
    return start(output, Choose.class, System.getProperty("java.class.path"), options);
  }

  private Process start(Path output, Class<?> main, String classPath, String... options)
      throws IOException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.add("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn");
    command.add("-Dengram.native.workdir=" + directory.resolve("work dir é"));
    command.addAll(List.of(options));
    command.addAll(List.of("-cp", classPath, main.getName()));
    ProcessBuilder builder = new ProcessBuilder(command);
    builder.environment().put("LC_ALL", "C.UTF-8");
    return builder.redirectErrorStream(true).redirectOutput(output.toFile()).start();
  }

  private Result run(String... options) throws IOException, InterruptedException {
    return runWith(System.getProperty("java.class.path"), options);
  }

  private Result runWith(String classPath, String... options)
      throws IOException, InterruptedException {
    Path output = Files.createTempFile(directory, "out", ".txt");
    Process process = start(output, Choose.class, classPath, options);
    assertTrue(process.waitFor(1, TimeUnit.MINUTES));
    return new Result(process.exitValue(), Files.readString(output));
  }

  private static final String ALLOW = "--enable-native-access=ALL-UNNAMED";

  private void fallsBack(String reason, String... options)
      throws IOException, InterruptedException {
    Result free = run(options);
    assertEquals(0, free.exit(), free.out());
    assertTrue(free.out().strip().endsWith("java"), free.out());
    assertEquals(
        1, free.out().lines().filter(line -> line.startsWith("[main] WARN")).count(), free.out());
    assertTrue(free.out().contains(reason), free.out());
    String[] forced =
        Stream.concat(Stream.of(options), Stream.of("-Dengram.backend=cpu")).toArray(String[]::new);
    Result thrown = run(forced);
    assertEquals(1, thrown.exit(), thrown.out());
    assertTrue(thrown.out().contains("no backend of cpu can run"), thrown.out());
    assertTrue(thrown.out().contains(reason), thrown.out());
  }

  private byte[] library() throws IOException {
    try (var in = new LinuxX64().open("engram")) {
      return java.util.Objects.requireNonNull(in).readAllBytes();
    }
  }

  @Test
  void loadsOnceFromTheJarIntoADirectoryNamedByItsContent() throws Exception {
    List<Process> racing = new ArrayList<>();
    List<Path> outputs = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      outputs.add(directory.resolve("race" + i));
      racing.add(start(outputs.get(i), ALLOW));
    }
    for (int i = 0; i < 4; i++) {
      assertEquals(0, racing.get(i).waitFor());
      assertEquals("cpu", Files.readString(outputs.get(i)).strip());
    }
    try (Stream<Path> files = Files.walk(directory.resolve("work dir é"))) {
      List<Path> regular = files.filter(Files::isRegularFile).toList();
      assertEquals(1, regular.size(), regular.toString());
      Files.write(regular.getFirst(), new byte[] {1, 2, 3}); // damaged: its hash tells
    }
    assertEquals("cpu", run(ALLOW).out().strip());
  }

  @Test
  void loadsFromAGivenPath() throws Exception {
    Path file = Files.write(directory.resolve("a library é.so"), library());
    assertEquals("cpu", run(ALLOW, "-Dengram.native.path=" + file).out().strip());
  }

  /** A natives jar comes first, so this class path has none. */
  @Test
  void loadsFromTheSystemPath() throws Exception {
    Files.write(directory.resolve("libengram.so"), library());
    String path = System.getProperty("java.class.path");
    String without =
        Stream.of(path.split(":", -1))
            .filter(entry -> !entry.endsWith("linux-x86_64/target/classes"))
            .collect(Collectors.joining(":"));
    Result with =
        runWith(without, ALLOW, "-Djava.library.path=" + directory, "-Dengram.backend=cpu");
    assertEquals("cpu", with.out().strip());
    Result none = runWith(without, ALLOW, "-Djava.library.path=", "-Dengram.backend=cpu");
    assertEquals(1, none.exit(), none.out());
    assertTrue(none.out().contains("no natives jar for linux-x86_64 on the path"), none.out());
  }

  /** Chooses in two class loaders that share nothing of ours. */
  static final class ChooseTwice {
    private ChooseTwice() {}

    public static void main(String[] args) throws Exception {
      List<URL> urls = new ArrayList<>();
      for (String entry : System.getProperty("java.class.path").split(":", -1)) {
        urls.add(Path.of(entry).toUri().toURL());
      }
      for (int i = 0; i < 3; i++) {
        try (URLClassLoader loader =
            new URLClassLoader(urls.toArray(URL[]::new), ClassLoader.getPlatformClassLoader())) {
          Class<?> choose = loader.loadClass(Choose.class.getName());
          var main = choose.getDeclaredMethod("main", String[].class);
          main.setAccessible(true);
          main.invoke(null, (Object) new String[0]);
        }
      }
    }
  }

  @Test
  void loadsInSeveralClassLoaders() throws Exception {
    Path output = directory.resolve("twice.txt");
    Process process =
        start(output, ChooseTwice.class, System.getProperty("java.class.path"), ALLOW);
    assertEquals(0, process.waitFor(), Files.readString(output));
    assertEquals("cpu\ncpu\ncpu", Files.readString(output).strip());
    try (Stream<Path> files = Files.walk(directory.resolve("work dir é"))) {
      List<Path> left = files.filter(file -> file.toString().contains("loader")).toList();
      assertEquals(List.of(), left, "what the further loaders needed is gone");
    }
  }

  /** In a mount namespace of its own, where a work directory is mounted noexec. */
  @Test
  void aWorkDirectoryThatIsMountedNoexec() throws Exception {
    Path mount = Files.createDirectories(directory.resolve("noexec"));
    String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
    List<String> script =
        List.of(
            "unshare",
            "--mount",
            "--map-root-user",
            "sh",
            "-c",
            "mount -t tmpfs -o noexec none \"$1\" || exit 77; shift; exec \"$@\"",
            "sh",
            mount.toString(),
            java,
            ALLOW,
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dengram.native.workdir=" + mount,
            "-cp",
            System.getProperty("java.class.path"),
            Choose.class.getName());
    Path output = directory.resolve("noexec.txt");
    Process process;
    try {
      process =
          new ProcessBuilder(script)
              .redirectErrorStream(true)
              .redirectOutput(output.toFile())
              .start();
    } catch (IOException e) {
      return; // no unshare: the message above is all that can be seen
    }
    if (process.waitFor() == 77 || !Files.readString(output).contains("java")) {
      System.out.println("no mounts here, so noexec was not tried: " + Files.readString(output));
      return;
    }
    String out = Files.readString(output);
    assertTrue(out.strip().endsWith("java"), out);
    assertTrue(out.contains("Name another directory with -Dengram.native.workdir"), out);
  }

  @Test
  void whatIsNoLibrary() throws Exception {
    Path missing = directory.resolve("missing.so");
    fallsBack("it is not a file", ALLOW, "-Dengram.native.path=" + missing);
    Path text = Files.writeString(directory.resolve("text.so"), "not a library");
    fallsBack("text.so", ALLOW, "-Dengram.native.path=" + text);
    byte[] whole = library();
    for (int length : new int[] {0, 10, 64, 4096, whole.length / 2, whole.length - 1}) {
      Path cut = Files.write(directory.resolve("cut.so"), java.util.Arrays.copyOf(whole, length));
      fallsBack("cut.so", ALLOW, "-Dengram.native.path=" + cut);
    }
  }

  @Test
  void aLibraryOfAnotherKind() throws Exception {
    // the C library lacks every function of ours
    try (Stream<Path> libraries = Files.list(Path.of("/lib/x86_64-linux-gnu"))) {
      Path other =
          libraries
              .filter(file -> file.getFileName().toString().startsWith("libm.so"))
              .findFirst()
              .orElseThrow();
      fallsBack("engram_abi", ALLOW, "-Dengram.native.path=" + other);
    }
  }

  @Test
  void anotherAbi() throws Exception {
    Path source =
        Files.writeString(directory.resolve("abi.c"), "int engram_abi(void) { return 99; }");
    Path built = directory.resolve("abi.so");
    Process compiler =
        new ProcessBuilder("cc", "-shared", "-fPIC", "-o", built.toString(), source.toString())
            .inheritIO()
            .start();
    assertEquals(0, compiler.waitFor());
    fallsBack("it has ABI 99, but this version needs ", ALLOW, "-Dengram.native.path=" + built);
  }

  @Test
  void withoutNativeAccess() throws Exception {
    fallsBack("--enable-native-access=ALL-UNNAMED", "--illegal-native-access=deny");
  }

  @Test
  void whereTheWorkDirectoryCannotBeUsedATemporaryOneIs() throws Exception {
    Path temporary = Files.createDirectory(directory.resolve("temporary"));
    Path file = Files.writeString(directory.resolve("file"), "");
    Path shared = Files.createDirectory(directory.resolve("shared"));
    Files.setPosixFilePermissions(shared, PosixFilePermissions.fromString("rwxrwxrwx"));
    for (Path unusable : List.of(file, shared)) { // no directory; one that others may write to
      Result result =
          run(
              ALLOW,
              "-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
              "-Djava.io.tmpdir=" + temporary,
              "-Dengram.native.workdir=" + unusable);
      assertTrue(result.out().strip().endsWith("cpu"), result.out());
      assertTrue(result.out().contains("-Dengram.native.workdir names another"), result.out());
      try (Stream<Path> left = Files.list(temporary)) {
        assertEquals(List.of(), left.toList());
      }
    }
  }

  @Test
  void theGuardStepsAside() throws Exception {
    for (List<String> why :
        List.of(
            List.of("-Xcheck:jni", "unguarded: -Xcheck:jni looks after handlers of signals"),
            List.of("-Dengram.native.guard=false", "unguarded: -Dengram.native.guard=false"))) {
      Result result = run(ALLOW, "-Ddescribe=true", why.get(0));
      assertEquals(0, result.exit(), result.out());
      assertTrue(result.out().contains(why.get(1)), result.out());
    }
  }

  /** Asked for by name, where there is no driver: by the library of the jar, if nvcc built it. */
  @Test
  void cudaWithoutADriverSaysWhy() throws Exception {
    Result result = run(ALLOW, "-Dengram.backend=cuda");
    if (result.exit() == 0) {
      assertEquals("cuda", result.out().strip()); // this machine has a device
      return;
    }
    boolean built = getClass().getResource(CUDA) != null;
    String reason = built ? "there is no NVIDIA driver for CUDA " : "was built without engram_cuda";
    assertTrue(result.out().contains("cuda: not available: "), result.out());
    assertTrue(result.out().contains(reason), result.out());
    Result fallsBack = run(ALLOW, "-Dengram.backend=cuda,cpu");
    assertEquals("cpu", fallsBack.out().strip());
  }
}
