package io.engram4j.packaging;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import org.junit.jupiter.api.Test;
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

  /** Machine numbers of ELF (EM_X86_64, EM_AARCH64), of PE and of Mach-O. */
  private static void requireMachine(String platform, Path library) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(library)).order(ByteOrder.LITTLE_ENDIAN);
    if (platform.startsWith("linux")) {
      assertEquals(0x464c457f, bytes.getInt(0));
      assertEquals(platform.endsWith("aarch_64") ? 183 : 62, bytes.getShort(18));
    } else if (platform.startsWith("windows")) {
      int header = bytes.getInt(0x3c);
      assertEquals(0x4550, bytes.getInt(header));
      assertEquals((short) 0x8664, bytes.getShort(header + 4));
    } else {
      assertEquals(0xfeedfacf, bytes.getInt(0));
      assertEquals(platform.endsWith("aarch_64") ? 0x0100000c : 0x01000007, bytes.getInt(4));
    }
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

  @Test
  void jarsCarryTheirPlatformsLibrary() throws IOException {
    for (String platform : platforms()) {
      requireMachine(platform, extract(platform, Artifacts.nativesJar(platform)));
    }
  }

  /** The golden model, through the library as it lies in the jar. */
  @ParameterizedTest
  @MethodSource("platforms")
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
