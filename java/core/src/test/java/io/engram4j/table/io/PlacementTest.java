package io.engram4j.table.io;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.host.Hosts;
import io.engram4j.table.Placement;
import io.engram4j.table.Table;
import io.engram4j.table.TableOptions;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Every placement gives the same rows, of the shards and of the packed file. */
class PlacementTest {
  static final long ROWS = 40_000;

  @TempDir Path directory;

  private List<TableFile> sources() throws IOException {
    TableFile shards = PackedFileTest.source(directory, ROWS, 256);
    Path packed = directory.resolve("packed.rows");
    return List.of(shards, Packer.pack(shards, packed, 2, done -> {}).table());
  }

  private TableOptions options(Placement placement) {
    return TableOptions.defaults()
        .placement(placement)
        .sharedDirectory(directory)
        .threads(2)
        .queueDepth(5);
  }

  static byte[] read(Table table, long... ids) {
    int row = Math.toIntExact(table.rowBytes());
    MemorySegment rows = Arena.ofAuto().allocate((long) ids.length * row);
    table.read(MemorySegment.ofArray(ids), ids.length, rows);
    byte[] bytes = new byte[ids.length * row];
    MemorySegment.ofArray(bytes).copyFrom(rows);
    return bytes;
  }

  /** Ids in disorder, some side by side, some twice, the first, the last, and none. */
  static long[] ids(SplittableRandom random, int count) {
    long[] ids = new long[count];
    for (int i = 0; i < count; i++) {
      ids[i] =
          switch (random.nextInt(6)) {
            case 0 -> 0;
            case 1 -> ROWS - 1;
            case 2 -> -1;
            case 3 -> i == 0 ? 7 : Math.min(ROWS - 1, ids[i - 1] + 1);
            default -> random.nextLong(ROWS);
          };
    }
    return ids;
  }

  @Test
  void allPlacementsGiveTheSameRows() throws Exception {
    SplittableRandom random = new SplittableRandom(5);
    List<TableFile> sources = sources();
    try (Arena arena = Arena.ofShared()) {
      Table truth = sources.getFirst().map(arena);
      for (TableFile source : sources) {
        for (Placement placement : Placement.ofFiles()) {
          if (placement == Placement.PINNED) {
            continue; // plain Java cannot; the natives' tests do
          }
          try (HeldTable held =
              new TableOpener(options(placement)).open(source, source.bytes(), arena)) {
            assertEquals(placement == Placement.AUTO, held.placement() != placement);
            for (int count : new int[] {0, 1, 2, 24, 100, 3000, 40_000}) {
              long[] ids = ids(random, count);
              assertArrayEquals(read(truth, ids), read(held.table(), ids), placement + " " + count);
            }
            for (long bad : new long[] {-2, ROWS, Long.MAX_VALUE}) {
              assertThrows(IndexOutOfBoundsException.class, () -> read(held.table(), 0, bad));
            }
          }
        }
      }
    }
  }

  @Test
  void manyThreadsShareAStreamedTable() throws Exception {
    for (TableFile source : sources()) {
      try (Arena arena = Arena.ofShared();
          StreamedRows rows = new StreamedRows(source, Hosts.plainJava().files(), 4)) {
        Table truth = source.map(arena);
        Table table = Table.streamed("rows", source.type(), ROWS, 256, rows);
        AtomicReference<Throwable> failed = new AtomicReference<>();
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
          SplittableRandom random = new SplittableRandom(i);
          threads.add(
              Thread.ofPlatform()
                  .start(() -> {
                    try {
                      for (int round = 0; round < 150; round++) {
                        long[] ids = ids(random, random.nextInt(1, 60));
                        assertArrayEquals(read(truth, ids), read(table, ids));
                      }
                    } catch (Throwable e) {
                      failed.set(e);
                    }
                  }));
        }
        for (Thread thread : threads) {
          thread.join();
        }
        assertEquals(null, failed.get());
      }
    }
  }

  @Test
  void anInterruptClosesNothing() throws Exception {
    TableFile source = sources().getLast();
    try (Arena arena = Arena.ofShared();
        StreamedRows rows = new StreamedRows(source, Hosts.plainJava().files(), 2)) {
      Table table = Table.streamed("rows", source.type(), ROWS, 256, rows);
      Thread.currentThread().interrupt();
      byte[] first = read(table, 5, 6, 30_000);
      assertTrue(Thread.interrupted(), "the interrupt is kept");
      assertArrayEquals(first, read(source.map(arena), 5, 6, 30_000));
      assertArrayEquals(first, read(table, 5, 6, 30_000));
    }
  }

  @Test
  void aFileThatShrinksIsNamed() throws Exception {
    TableFile source = sources().getLast();
    try (StreamedRows rows = new StreamedRows(source, Hosts.plainJava().files(), 2)) {
      Table table = Table.streamed("rows", source.type(), ROWS, 256, rows);
      try (FileChannel channel =
          FileChannel.open(source.weight().file(), StandardOpenOption.WRITE)) {
        channel.truncate(1_000_000);
      }
      assertEquals(264, read(table, 100).length);
      UncheckedIOException e =
          assertThrows(UncheckedIOException.class, () -> read(table, 100, ROWS - 1));
      assertTrue(
          String.valueOf(e.getMessage()).contains("packed.rows ends at byte 1000000"),
          e.toString());
      assertEquals(264, read(table, 100).length, "and others go on");
    }
  }

  @Test
  void aThousandOpensLeaveNothingBehind() throws Exception {
    TableFile source = sources().getFirst();
    long threads = Thread.getAllStackTraces().size();
    long files = descriptors();
    for (int i = 0; i < 1000; i++) {
      Placement placement = i % 2 == 0 ? Placement.STREAMED : Placement.MAPPED;
      try (Arena arena = Arena.ofShared();
          HeldTable held = new TableOpener(options(placement)).open(source, 1, arena)) {
        assertEquals(264, read(held.table(), i).length);
      }
    }
    assertEquals(files, descriptors());
    assertTrue(Thread.getAllStackTraces().size() <= threads + 2);
  }

  private static long descriptors() throws IOException {
    Path open = Path.of("/proc/self/fd");
    if (!Files.isDirectory(open)) {
      return 0; // no Linux
    }
    try (var files = Files.list(open)) {
      return files.count();
    }
  }
}
