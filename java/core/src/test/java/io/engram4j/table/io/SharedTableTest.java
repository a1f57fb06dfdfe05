package io.engram4j.table.io;

import static io.engram4j.table.io.PlacementTest.ROWS;
import static io.engram4j.table.io.PlacementTest.read;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.table.Placement;
import io.engram4j.table.TableOptions;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.foreign.Arena;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Several processes on one shared table; any of them may die at any moment. */
class SharedTableTest {
  @TempDir Path directory;
  private TableFile source;
  private int expected;

  @BeforeEach
  void pack() throws IOException {
    TableFile shards = PackedFileTest.source(directory, ROWS, 256);
    source = Packer.pack(shards, directory.resolve("packed.rows"), 2, done -> {}).table();
    try (Arena arena = Arena.ofShared()) {
      expected = allRows(source.map(arena));
    }
  }

  private static int allRows(io.engram4j.table.Table table) {
    return Arrays.hashCode(read(table, LongStream.range(0, ROWS).toArray()));
  }

  /** Attaches to a shared table, or loads it; then tells a hash of all rows for every line. */
  static final class Attach {
    private Attach() {}

    public static void main(String[] args) throws Exception {
      TableFile source = PackedFile.open(Path.of(args[0])).table();
      TableOptions options =
          TableOptions.defaults()
              .placement(Placement.SHARED)
              .threads(1)
              .sharedDirectory(Path.of(args[1]))
              .progress(bytes -> {
                System.out.println("loading");
                LockSupport.parkNanos(100_000_000);
              });
      try (Arena arena = Arena.ofShared();
          BufferedReader lines =
              new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
        HeldTable held = new TableOpener(options).open(source, source.bytes(), arena);
        do {
          System.out.println(held.description() + " " + allRows(held.table()));
        } while (lines.readLine() != null);
      }
    }
  }

  private Process attach() throws IOException {
    return new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-cp",
            System.getProperty("java.class.path"),
            Attach.class.getName(),
            source.weight().file().toString(),
            directory.toString())
        .redirectErrorStream(true)
        .start();
  }

  /** Reads on until a process has told of its rows, and checks them. */
  private void requireRight(BufferedReader lines) throws IOException {
    String line = lines.readLine();
    while (line != null && line.equals("loading")) {
      line = lines.readLine();
    }
    assertTrue(line != null && line.endsWith(" " + expected), line + ", not " + expected);
  }

  private static void ask(Process process) throws IOException {
    process.getOutputStream().write('\n');
    process.getOutputStream().flush();
  }

  @Test
  void survivesTheDeathOfWhoLoadsIt() throws Exception {
    Process first = attach();
    try (BufferedReader lines = first.inputReader()) {
      assertEquals("loading", lines.readLine());
      first.destroyForcibly().waitFor(); // half way
    }
    Process second = attach();
    Process third = attach();
    try (BufferedReader ofSecond = second.inputReader();
        BufferedReader ofThird = third.inputReader()) {
      requireRight(ofSecond);
      requireRight(ofThird);
    } finally {
      second.destroyForcibly().waitFor();
      third.destroyForcibly().waitFor();
    }
  }

  /** A process that dies between the rename of what it loaded and its end leaves a journal. */
  @Test
  void forgetsTheJournalOfWhatIsLoaded() throws Exception {
    TableOptions options =
        TableOptions.defaults().placement(Placement.SHARED).sharedDirectory(directory);
    Path journal = null;
    for (boolean isLocked : new boolean[] {false, false, true}) {
      if (journal != null) {
        Files.writeString(journal, "left");
      }
      try (Arena arena = Arena.ofShared();
          FileChannel other =
              isLocked ? FileChannel.open(journal, StandardOpenOption.WRITE) : null) {
        if (other != null) {
          other.lock();
        }
        HeldTable held = new TableOpener(options).open(source, source.bytes(), arena);
        assertEquals(expected, allRows(held.table()));
        if (journal != null) {
          assertEquals(isLocked, Files.exists(journal));
        }
      }
      try (Stream<Path> all = Files.walk(directory)) {
        Path rows =
            all.filter(file -> file.toString().matches(".*engram4j-.*rows")).findFirst().get();
        journal = rows.resolveSibling(rows.getFileName() + ".journal");
      }
    }
  }

  /** Sums a field, in bytes, over the mappings of the table in a process. */
  private static long mapped(Process process, String field) throws IOException {
    long kib = 0;
    boolean inside = false;
    for (String line : Files.readAllLines(Path.of("/proc/" + process.pid() + "/smaps"))) {
      if (line.matches("[0-9a-f]+-[0-9a-f]+ .*")) {
        inside = line.contains("/engram4j-") && line.endsWith(".rows");
      } else if (inside && line.startsWith(field + ":")) {
        kib += Long.parseLong(line.replaceAll("[^0-9]", ""));
      }
    }
    return 1024 * kib;
  }

  /** PSS counts a page of n processes as an n-th of a page in each. */
  @Test
  void twoProcessesHoldOneCopyAndEitherMayDie() throws Exception {
    for (boolean firstDies : new boolean[] {true, false}) {
      Process first = attach();
      Process second = attach();
      try (BufferedReader ofFirst = first.inputReader();
          BufferedReader ofSecond = second.inputReader()) {
        requireRight(ofFirst);
        requireRight(ofSecond);
        if (Files.exists(Path.of("/proc/self/smaps"))) {
          long bytes = source.bytes();
          assertTrue(mapped(first, "Rss") >= bytes && mapped(second, "Rss") >= bytes);
          long pss = mapped(first, "Pss") + mapped(second, "Pss");
          assertTrue(pss < bytes * 11 / 10, pss + " bytes of PSS for a table of " + bytes);
        }
        (firstDies ? first : second).destroyForcibly().waitFor();
        ask(firstDies ? second : first);
        requireRight(firstDies ? ofSecond : ofFirst);
      } finally {
        first.destroyForcibly().waitFor();
        second.destroyForcibly().waitFor();
      }
    }
  }

  /** Killed a little later each time: whatever it leaves, the next one is right. */
  @Test
  void whoeverDiesAtAnyMomentTheNextIsRight() throws Exception {
    for (int millis = 0; millis < 700; millis += 100) {
      Process process = attach();
      LockSupport.parkNanos(1_000_000L * millis);
      process.destroyForcibly().waitFor();
    }
    Process last = attach();
    try (BufferedReader lines = last.inputReader()) {
      requireRight(lines);
    } finally {
      last.destroyForcibly().waitFor();
    }
  }
}
