package io.engram4j.natives.linux_x86_64;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.host.AsyncFiles;
import io.engram4j.host.Hosts;
import io.engram4j.table.Placement;
import io.engram4j.table.RowType;
import io.engram4j.table.Table;
import io.engram4j.table.TableOptions;
import io.engram4j.table.io.HeldTable;
import io.engram4j.table.io.TableFile;
import io.engram4j.table.io.TableFile.Region;
import io.engram4j.table.io.TableOpener;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Reads through io_uring, where the system allows it; elsewhere the same through threads. */
class IoUringTest {
  private static final long ROWS = 30_000;
  private static final TableOptions STREAMED =
      TableOptions.defaults().placement(Placement.STREAMED).queueDepth(7);

  @TempDir Path directory;

  private static boolean isAllowed(Path file) {
    try (AsyncFiles files = Hosts.find().files().openAsync(List.of(file));
        AsyncFiles.Queue queue = files.newQueue(1, 4096)) {
      return queue.buffer(0).byteSize() > 0;
    } catch (IOException e) {
      System.out.println("io_uring is not used here: " + e.getMessage());
      return false;
    }
  }

  private TableFile table(int headDim) throws IOException {
    SplittableRandom random = new SplittableRandom(headDim);
    int scales = RowType.F8_E4M3.scaleBytes(headDim);
    byte[] weight = new byte[Math.toIntExact(ROWS * headDim + 13)];
    byte[] scale = new byte[Math.toIntExact(ROWS * scales + 7)];
    random.nextBytes(weight);
    random.nextBytes(scale);
    return new TableFile(
        "rows",
        RowType.F8_E4M3,
        ROWS,
        headDim,
        new Region(Files.write(directory.resolve("weight"), weight), 13, headDim, headDim),
        new Region(Files.write(directory.resolve("scale"), scale), 7, scales, scales));
  }

  private static byte[] read(Table table, long[] ids) {
    int row = Math.toIntExact(table.rowBytes());
    MemorySegment rows = Arena.ofAuto().allocate((long) ids.length * row);
    table.read(MemorySegment.ofArray(ids), ids.length, rows);
    byte[] bytes = new byte[ids.length * row];
    MemorySegment.ofArray(bytes).copyFrom(rows);
    return bytes;
  }

  @Test
  void manyThreadsReadTheRightRows() throws Exception {
    for (int headDim : new int[] {32, 256, 5000}) {
      TableFile file = table(headDim);
      try (Arena arena = Arena.ofShared();
          HeldTable held = new TableOpener(STREAMED).open(file, 1, arena)) {
        boolean ring = isAllowed(file.weight().file());
        String description = held.description();
        assertTrue(description.contains(ring ? "by io_uring" : "by threads"), description);
        Table truth = file.map(arena);
        AtomicReference<Throwable> failed = new AtomicReference<>();
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
          SplittableRandom random = new SplittableRandom(i);
          threads.add(Thread.ofPlatform().start(() -> readAndCompare(random, truth, held, failed)));
        }
        for (Thread thread : threads) {
          thread.join();
        }
        assertEquals(null, failed.get());
      }
    }
  }

  private static void readAndCompare(
      SplittableRandom random, Table truth, HeldTable held, AtomicReference<Throwable> failed) {
    try {
      for (int count : new int[] {1, 0, 24, 300, 24, 24, 2000, 7}) {
        long[] ids = random.longs(count, -1, ROWS).toArray();
        assertArrayEquals(read(truth, ids), read(held.table(), ids));
      }
      long[] ends = {ROWS - 1, 0, -1, 0, ROWS - 1, ROWS - 2};
      assertArrayEquals(read(truth, ends), read(held.table(), ends));
    } catch (Throwable e) {
      failed.set(e);
    }
  }

  /** Nothing is mapped at address 0, so reading a process's memory there is an I/O error. */
  @Test
  void tellsOfReadErrors() throws IOException {
    Path memory = Path.of("/proc/self/mem");
    if (!isAllowed(memory)) {
      return; // said so
    }
    try (AsyncFiles files = Hosts.find().files().openAsync(List.of(memory));
        AsyncFiles.Queue queue = files.newQueue(2, 4096)) {
      assertEquals(false, files.isDirect());
      for (int i = 0; i < 100; i++) {
        queue.begin(i % 2, 0, 0, 0, 4096);
        int slot = queue.end();
        assertEquals(i % 2, slot);
        assertEquals(-5, queue.result(slot), "EIO");
      }
      assertThrows(IndexOutOfBoundsException.class, () -> queue.begin(0, 0, 0, 1, 4096));
    }
    TableFile file = table(256);
    try (Arena arena = Arena.ofShared();
        HeldTable held = new TableOpener(STREAMED).open(file, 1, arena)) {
      Files.write(directory.resolve("scale"), new byte[4096]); // shrinks
      long[] ids = {5, ROWS - 1};
      UncheckedIOException e =
          assertThrows(UncheckedIOException.class, () -> read(held.table(), ids));
      assertTrue(String.valueOf(e.getMessage()).contains("scale ends at byte 4096"), "" + e);
      assertEquals(264, read(held.table(), new long[] {5}).length, "and others go on");
    }
  }

  @Test
  void leavesNothingOpen() throws IOException {
    TableFile file = table(64);
    long before = descriptors();
    for (int i = 0; i < 500; i++) {
      try (Arena arena = Arena.ofShared();
          HeldTable held = new TableOpener(STREAMED).open(file, 1, arena)) {
        assertEquals(66, read(held.table(), new long[] {i}).length);
      }
      assertThrows(
          IOException.class, () -> Hosts.find().files().openAsync(List.of(Path.of("/nowhere"))));
    }
    assertEquals(before, descriptors());
  }

  private static long descriptors() throws IOException {
    try (var files = Files.list(Path.of("/proc/self/fd"))) {
      return files.count();
    }
  }
}
