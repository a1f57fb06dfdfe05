package io.engram4j.table.io;

import static io.engram4j.table.io.PlacementTest.ROWS;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Rows that are read from files: by more threads than have files, of the file that was opened. */
class FileRowsTest {
  private static final long[] ALL = LongStream.range(0, ROWS).toArray();

  @TempDir Path directory;

  private static byte[] read(FileRows rows, TableFile file) {
    byte[] bytes = new byte[Math.toIntExact(ROWS * file.rowBytes())];
    rows.read(MemorySegment.ofArray(ALL), ROWS, MemorySegment.ofArray(bytes));
    return bytes;
  }

  @Test
  void moreThreadsThanFilesAndInterrupts() throws Exception {
    TableFile file = PackedFileTest.source(directory, ROWS, 256);
    ExecutorService threads = Executors.newFixedThreadPool(12);
    try (FileRows rows = new FileRows(file)) {
      byte[] expected = read(rows, file);
      List<Future<?>> all = new ArrayList<>();
      for (int i = 0; i < 12; i++) {
        boolean interrupts = i % 2 == 0;
        all.add(
            threads.submit(() -> {
              for (int round = 0; round < 5; round++) {
                if (interrupts) {
                  Thread.currentThread().interrupt();
                }
                assertArrayEquals(expected, read(rows, file));
                assertTrue(!interrupts || Thread.interrupted(), "an interrupt is kept");
              }
            }));
      }
      for (Future<?> one : all) {
        one.get();
      }
    } finally {
      threads.shutdown();
    }
  }

  @Test
  void aFileThatIsReplacedStaysAsItWasForEveryReader() throws Exception {
    TableFile file = PackedFileTest.source(directory, ROWS, 256);
    ExecutorService threads = Executors.newFixedThreadPool(8);
    try (FileRows rows = new FileRows(file)) {
      byte[] expected = read(rows, file);
      for (Path path : file.files()) {
        Path other = Files.write(directory.resolve("other"), new byte[(int) Files.size(path)]);
        Files.move(other, path, StandardCopyOption.REPLACE_EXISTING);
      }
      List<Future<?>> all = new ArrayList<>();
      for (int i = 0; i < 8; i++) {
        all.add(threads.submit(() -> assertArrayEquals(expected, read(rows, file))));
      }
      for (Future<?> one : all) {
        one.get();
      }
    } finally {
      threads.shutdown();
    }
  }

  @Test
  void aShorterFileIsRefusedOrToldByRow() throws IOException {
    TableFile file = PackedFileTest.source(directory, ROWS, 256);
    try (FileRows rows = new FileRows(file)) {
      Path path = file.weight().file();
      Files.write(path, new byte[100]);
      UncheckedIOException e = assertThrows(UncheckedIOException.class, () -> read(rows, file));
      assertTrue(String.valueOf(e.getMessage()).contains("before row 0 of"), e.getMessage());
      assertThrows(IOException.class, () -> new FileRows(file));
    }
  }
}
