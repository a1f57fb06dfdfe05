package io.engram4j.packaging;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Every jar of native libraries that was built carries what its name says, and that runs. */
final class NativesTest {
  private static final Path GOLDEN =
      Artifacts.ROOT.resolve("java/tck/src/main/resources/io/engram4j/tck/golden/mini-v41");

  /** How a foreign platform's programs run here, where that is installed. */
  private static final Map<String, List<List<String>>> EMULATORS =
      Map.of(
          "linux-aarch_64",
          List.of(List.of("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu")),
          "windows-x86_64",
          List.of(List.of("wine64"), List.of("wine"), List.of("/usr/lib/wine/wine64")));

  @TempDir Path directory;

  private static String file(String platform) {
    return platform.startsWith("windows")
        ? "engram.dll"
        : platform.startsWith("osx") ? "libengram.dylib" : "libengram.so";
  }

  private Path extract(String platform, Path jar) throws IOException {
    try (JarFile open = new JarFile(jar.toFile())) {
      JarEntry entry = open.getJarEntry("io.engram4j.natives/" + platform + "/" + file(platform));
      assertNotNull(entry, jar + " has no library");
      assertNotNull(open.getEntry("module-info.class"));
      assertNotNull(open.getEntry("META-INF/services/io.engram4j.bridge.NativeResource"));
      Path library = Files.createDirectories(directory.resolve(platform)).resolve(file(platform));
      try (InputStream in = open.getInputStream(entry)) {
        Files.write(library, in.readAllBytes());
      }
      return library;
    }
  }

  /** The functions that the header declares. */
  private static Set<String> declared() throws IOException {
    String header = Files.readString(Artifacts.ROOT.resolve("native/include/engram.h"));
    Set<String> names = new TreeSet<>();
    Matcher matcher = Pattern.compile("(?m)^ENGRAM_API .*?(engram_\\w+)\\(").matcher(header);
    while (matcher.find()) {
      names.add(matcher.group(1));
    }
    return names;
  }

  /** Numbers of the CPUs in ELF (EM_X86_64, EM_AARCH64), PE and Mach-O. */
  private static int machine(String platform) {
    boolean arm = platform.endsWith("aarch_64");
    if (platform.startsWith("linux")) {
      return arm ? 183 : 62;
    }
    if (platform.startsWith("windows")) {
      return arm ? 0xaa64 : 0x8664;
    }
    return arm ? 0x0100000c : 0x01000007;
  }

  /** Nothing that not every system of the platform has. */
  private static Set<String> system(String platform) {
    if (platform.startsWith("linux")) {
      return Set.of("libc.so.6", "libm.so.6", "ld-linux-aarch64.so.1");
    }
    return platform.startsWith("windows")
        ? Set.of("kernel32.dll", "msvcrt.dll")
        : Set.of("/usr/lib/libSystem.B.dylib");
  }

  /** The platforms that this build has natives for; without a compiler there are none. */
  private static List<String> platforms() {
    List<String> platforms = new ArrayList<>(Artifacts.crossPlatforms());
    if (!Artifacts.ownPlatform().isEmpty()) {
      platforms.add(Artifacts.ownPlatform());
    }
    assumeFalse(
        platforms.isEmpty(), "natives were not built: there is no compiler, or -Dnative.skip");
    return platforms;
  }

  /** Those that this machine can run, itself or by an emulator. */
  private static List<String> executed() {
    return platforms().stream()
        .filter(p -> p.equals(Artifacts.ownPlatform()) || EMULATORS.containsKey(p))
        .toList();
  }

  @ParameterizedTest
  @MethodSource("platforms")
  void jarsCarryTheirPlatformsLibrary(String platform) throws Exception {
    Path file = extract(platform, Artifacts.nativesJar(platform));
    LibraryFile library = LibraryFile.read(platform, file);
    assertEquals(machine(platform), library.machine());
    Set<String> exports = library.exports();
    exports.removeIf(name -> name.startsWith("_")); // of the linker's own
    assertEquals(declared(), exports);
    Set<String> beyond = library.needs();
    beyond.removeAll(system(platform));
    assertEquals(Set.of(), beyond);
    String paths = new String(Files.readAllBytes(file), StandardCharsets.ISO_8859_1);
    assertFalse(paths.contains(Artifacts.ROOT.toString()), "it names where it was built");
    if (library instanceof MachO mac) {
      assertEquals("@rpath/libengram.dylib", mac.id());
      assertEquals("11.0", mac.oldestSystem());
      assertTrue(mac.checkSignature() > 10);
    } else if (library instanceof Pe windows) {
      int anywhereAndNoCodeInData = 0x160; // high addresses, any address, NX
      assertEquals(anywhereAndNoCodeInData, windows.flags() & anywhereAndNoCodeInData);
    }
  }

  static boolean hasMac() {
    return Artifacts.crossPlatforms().stream().anyMatch(p -> p.startsWith("osx"));
  }

  /** A signature that checks nothing would pass as well. */
  @Test
  @EnabledIf("hasMac")
  void aByteThatWasChangedIsSeen() throws Exception {
    for (String platform : platforms()) {
      if (platform.startsWith("osx")) {
        Path file = extract(platform, Artifacts.nativesJar(platform));
        byte[] bytes = Files.readAllBytes(file);
        bytes[bytes.length / 2] ^= 1;
        Files.write(file, bytes);
        MachO changed = (MachO) LibraryFile.read(platform, file);
        assertThrows(IllegalStateException.class, changed::checkSignature);
      }
    }
  }

  /** The golden model, through the library as it lies in the jar. */
  @ParameterizedTest
  @MethodSource("executed")
  void librariesRunAsTheyLieInTheirJars(String platform) throws IOException, InterruptedException {
    boolean own = platform.equals(Artifacts.ownPlatform());
    List<String> command = new ArrayList<>(own ? List.of() : emulator(platform));
    assumeTrue(own || !command.isEmpty(), "there is no emulator for " + platform);
    String exe = platform.startsWith("windows") ? "golden_test.exe" : "golden_test";
    Path folder = Files.createDirectories(directory.resolve(platform));
    extract(platform, Artifacts.nativesJar(platform));
    Path test =
        Artifacts.ROOT.resolve("java/natives/" + platform + "/target/cmake/native/test/" + exe);
    Path copy = Files.copy(test, folder.resolve(exe)); // Windows looks beside the program
    assertTrue(copy.toFile().setExecutable(true));
    command.addAll(List.of(copy.toString(), GOLDEN.toString(), "from the jar"));
    Map<String, String> environment =
        Map.of("LD_LIBRARY_PATH", folder.toString(), "WINEDEBUG", "-all");
    Artifacts.Result result = Artifacts.run(directory, environment, command);
    assertEquals(0, result.exit(), result.out());
    assertTrue(result.out().contains(" comparisons, 0 failed"), result.out());
    String tier =
        platform.endsWith("aarch_64") ? "tier NEON from the jar" : "tier scalar from the jar";
    assertTrue(result.out().contains(tier), result.out());
  }

  private List<String> emulator(String platform) {
    for (List<String> candidate : EMULATORS.getOrDefault(platform, List.of())) {
      try {
        List<String> probe = new ArrayList<>(candidate);
        probe.add("--version");
        Artifacts.run(directory, Map.of("WINEDEBUG", "-all"), probe);
        return candidate;
      } catch (IOException e) {
        // not installed: the next one may be
      } catch (InterruptedException e) {
        throw new IllegalStateException(e);
      }
    }
    return List.of();
  }
}
