package io.engram4j.table.io;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.host.Hosts;
import io.engram4j.table.RowType;
import io.engram4j.table.io.TableFile.Region;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** The buffers of reads by threads: given back when the table is closed, refused where none are. */
@EnabledOnOs(OS.LINUX) // /proc, and limits that hold
class StreamedMemoryTest {
  private static final int DEPTH = 32;

  /** As float32 a row of 4 MiB: the buffers take 128 MiB. */
  private static final int LARGE = 1 << 20;

  @TempDir Path directory;

  private static TableFile table(Path file, int headDim) {
    int bytes = Math.toIntExact(RowType.F32.elementBytes(headDim));
    return new TableFile("rows", RowType.F32, 4, headDim, new Region(file, 0, bytes, bytes), null);
  }

  private Path file(int headDim) throws IOException {
    return Files.write(directory.resolve("rows.bin"), new byte[4 * 4 * headDim]);
  }

  /** A figure in bytes of /proc/self/status. */
  private static long status(String key) throws IOException {
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith(key + ":")) {
        return 1024 * Long.parseLong(line.replaceAll("\\D", ""));
      }
    }
    throw new IOException("no " + key);
  }

  @Test
  void closedTablesGiveTheirBuffersBack() throws IOException {
    TableFile table = table(file(1 << 16), 1 << 16); // 8 MiB of buffers
    long before = 0;
    for (int i = 0; i < 60; i++) {
      try (StreamedRows rows = new StreamedRows(table, Hosts.plainJava().files(), DEPTH)) {
        assertTrue(rows.description().startsWith("32 reads at once by threads"));
      }
      before = i == 9 ? status("VmRSS") : before;
    }
    long grown = status("VmRSS") - before;
    assertTrue(grown < 100 << 20, grown + " bytes more after 50 closed tables");
  }

  @Test
  void withoutMemoryForThemItIsRefused() throws Exception {
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-Xmx64m",
                "-cp",
                System.getProperty("java.class.path"),
                Limited.class.getName(),
                file(LARGE).toString())
            .redirectErrorStream(true)
            .start();
    String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertTrue(out.contains("refused: no memory for 32 reads at once of rows"), out);
    assertFalse(out.contains("engram-stream"), "no thread is left: " + out);
  }

  /** A process that allows itself 64 MiB more than it has. */
  static final class Limited {
    private static final int RLIMIT_AS = 9;

    private Limited() {}

    @SuppressWarnings("restricted") // setrlimit
    public static void main(String[] args) throws Throwable {
      TableFile table = table(Path.of(args[0]), LARGE);
      Linker linker = Linker.nativeLinker();
      MethodHandle setrlimit =
          linker.downcallHandle(
              linker.defaultLookup().findOrThrow("setrlimit"),
              FunctionDescriptor.of(
                  ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.ADDRESS));
      try (Arena arena = Arena.ofConfined()) {
        long most = status("VmSize") + (64 << 20);
        MemorySegment limit = arena.allocateFrom(ValueLayout.JAVA_LONG, most, most);
        if ((int) setrlimit.invokeExact(RLIMIT_AS, limit) != 0) {
          throw new IOException("setrlimit failed");
        }
      }
      try (StreamedRows rows = new StreamedRows(table, Hosts.plainJava().files(), DEPTH)) {
        System.out.println("opened " + rows.description());
      } catch (IOException e) {
        System.out.println("refused: " + e.getMessage());
      }
      System.out.println(Thread.getAllStackTraces().keySet());
    }
  }
}
