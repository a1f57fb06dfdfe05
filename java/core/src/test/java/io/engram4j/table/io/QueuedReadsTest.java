package io.engram4j.table.io;

import static io.engram4j.table.io.PlacementTest.ROWS;
import static io.engram4j.table.io.PlacementTest.ids;
import static io.engram4j.table.io.PlacementTest.read;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.host.AsyncFiles;
import io.engram4j.host.Host;
import io.engram4j.host.HostFiles;
import io.engram4j.host.HostMemory;
import io.engram4j.host.HostNuma;
import io.engram4j.host.Hosts;
import io.engram4j.table.NumaPolicy;
import io.engram4j.table.Placement;
import io.engram4j.table.Table;
import io.engram4j.table.TableOptions;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Reads through a queue that ends them in any order, in pieces, or not well. */
class QueuedReadsTest {
  private static final int DEPTH = 6;
  private static final int IO_ERROR = 5;
  private static final int AGAIN = 11;

  @TempDir Path directory;

  /** A system with a queue as bad as queues may be, and two nodes of memory. */
  private static final class Unruly implements Host, HostFiles, HostNuma {
    private boolean pieces;
    private boolean refuses;
    private int node;
    private long failsFrom = Long.MAX_VALUE;
    private final AtomicInteger open = new AtomicInteger();
    private int mostUnderWay;

    @Override
    public AsyncFiles openAsync(List<Path> paths) throws IOException {
      if (refuses) {
        throw new IOException("refused");
      }
      List<FileChannel> channels = new ArrayList<>();
      for (Path path : paths) {
        channels.add(FileChannel.open(path));
      }
      open.addAndGet(channels.size());
      return new AsyncFiles() {
        @Override
        public boolean isDirect() {
          return false;
        }

        @Override
        public long size(int file) throws IOException {
          return channels.get(file).size();
        }

        @Override
        public Queue newQueue(int depth, int bytes) {
          open.incrementAndGet();
          return new UnrulyQueue(channels, depth, bytes);
        }

        @Override
        public void close() throws IOException {
          for (FileChannel channel : channels) {
            channel.close();
          }
          open.addAndGet(-channels.size());
        }
      };
    }

    private final class UnrulyQueue implements AsyncFiles.Queue {
      private final List<FileChannel> channels;
      private final MemorySegment[] buffers;
      private final int[] results;
      private final Deque<Integer> underWay = new ArrayDeque<>();
      private final SplittableRandom random = new SplittableRandom(3);

      UnrulyQueue(List<FileChannel> channels, int depth, int bytes) {
        this.channels = channels;
        this.buffers = new MemorySegment[depth];
        this.results = new int[depth];
        for (int i = 0; i < depth; i++) {
          buffers[i] = MemorySegment.ofArray(new byte[bytes]);
        }
      }

      @Override
      public MemorySegment buffer(int slot) {
        return buffers[slot];
      }

      @Override
      public void begin(int slot, int file, long offset, int at, int bytes) {
        assertTrue(!underWay.contains(slot) && underWay.size() < buffers.length);
        int some = pieces ? random.nextInt(1, bytes + 1) : bytes;
        try {
          results[slot] =
              offset >= failsFrom
                  ? -IO_ERROR
                  : pieces && random.nextInt(9) == 0
                      ? -AGAIN
                      : Math.max(
                          0,
                          channels
                              .get(file)
                              .read(buffers[slot].asSlice(at, some).asByteBuffer(), offset));
        } catch (IOException e) {
          throw new UncheckedIOException(e);
        }
        if (random.nextBoolean()) {
          underWay.addFirst(slot);
        } else {
          underWay.addLast(slot);
        }
        mostUnderWay = Math.max(mostUnderWay, underWay.size());
      }

      @Override
      public void drain() {
        underWay.clear();
      }

      @Override
      public int end() {
        return underWay.removeFirst();
      }

      @Override
      public int result(int slot) {
        return results[slot];
      }

      @Override
      public void close() {
        assertTrue(underWay.isEmpty());
        open.decrementAndGet();
      }
    }

    @Override
    public boolean isAvailable() {
      return true;
    }

    @Override
    public HostMemory memory() {
      return Hosts.plainJava().memory();
    }

    @Override
    public HostFiles files() {
      return this;
    }

    @Override
    public HostNuma numa() {
      return this;
    }

    @Override
    public void random(MemorySegment mapping) {}

    @Override
    public void willNeed(MemorySegment mapping, long offset, long bytes) {}

    @Override
    public int nodes() {
      return 2;
    }

    @Override
    public int node() {
      return node;
    }

    @Override
    public void spread(MemorySegment memory, int node) {}

    @Override
    public int alignment(Path file) {
      return 0;
    }

    @Override
    public long inPageCache(MemorySegment mapping) {
      return -1;
    }
  }

  private List<TableFile> sources() throws IOException {
    TableFile shards = PackedFileTest.source(directory, ROWS, 256);
    Path packed = directory.resolve("packed.rows");
    return List.of(shards, Packer.pack(shards, packed, 2, done -> {}).table());
  }

  @Test
  void readsInAnyOrderAndInPieces() throws IOException {
    SplittableRandom random = new SplittableRandom(9);
    for (boolean pieces : new boolean[] {false, true}) {
      for (TableFile source : sources()) {
        Unruly system = new Unruly();
        system.pieces = pieces;
        try (Arena arena = Arena.ofShared();
            StreamedRows rows = new StreamedRows(source, system, DEPTH)) {
          Table truth = source.map(arena);
          Table table = Table.streamed("rows", source.type(), ROWS, 256, rows);
          for (int count : new int[] {0, 1, 3, 24, 500, 20_000}) {
            long[] ids = ids(random, count);
            assertArrayEquals(read(truth, ids), read(table, ids), pieces + " " + count);
          }
          assertTrue(rows.description().contains("io_uring, through"), rows.description());
        }
        assertEquals(DEPTH, system.mostUnderWay, "reads are under way at once");
        assertEquals(0, system.open.get(), "everything is closed");
      }
    }
  }

  @Test
  void manyCallersShareAFewQueues() throws Exception {
    TableFile source = sources().getLast();
    Unruly system = new Unruly();
    try (Arena arena = Arena.ofShared();
        StreamedRows rows = new StreamedRows(source, system, DEPTH)) {
      Table truth = source.map(arena);
      Table table = Table.streamed("rows", source.type(), ROWS, 256, rows);
      AtomicReference<Throwable> failed = new AtomicReference<>();
      List<Thread> threads = new ArrayList<>();
      for (int i = 0; i < 12; i++) {
        SplittableRandom own = new SplittableRandom(i);
        threads.add(
            Thread.ofPlatform()
                .start(() -> {
                  try {
                    for (int round = 0; round < 40; round++) {
                      long[] ids = ids(own, 30);
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
      assertTrue(system.open.get() <= 1 + 4, system.open.get() + " files and queues are open");
      // a caller's mistake costs no queue
      long[] ids = {1, 2, 3};
      MemorySegment small = MemorySegment.ofArray(new byte[10]);
      for (int i = 0; i < 10; i++) {
        assertThrows(
            IndexOutOfBoundsException.class,
            () -> table.read(MemorySegment.ofArray(ids), ids.length, small));
      }
      assertEquals(3 * 264, read(table, ids).length);
    }
    assertEquals(0, system.open.get());
  }

  @Test
  void aFailedReadIsNamedAndOthersGoOn() throws IOException {
    Unruly system = new Unruly();
    TableFile source = sources().getLast();
    try (Arena arena = Arena.ofShared();
        StreamedRows rows = new StreamedRows(source, system, DEPTH)) {
      Table table = Table.streamed("rows", source.type(), ROWS, 256, rows);
      system.failsFrom = 5_000_000;
      UncheckedIOException e =
          assertThrows(UncheckedIOException.class, () -> read(table, 1, 30_000, 2, 20_000, 3));
      assertTrue(String.valueOf(e.getMessage()).contains("packed.rows failed: errno 5"), "" + e);
      assertArrayEquals(read(source.map(arena), 1, 2, 3), read(table, 1, 2, 3));
    }
    assertEquals(0, system.open.get());
  }

  @Test
  void whereItIsRefusedThreadsRead() throws IOException {
    Unruly system = new Unruly();
    system.refuses = true;
    try (StreamedRows rows = new StreamedRows(sources().getLast(), system, DEPTH)) {
      assertTrue(rows.description().startsWith("6 reads at once by threads"), rows.description());
    }
  }

  @Test
  void aCopyOnEachNode() throws IOException {
    Unruly system = new Unruly();
    TableFile source = sources().getFirst();
    for (NumaPolicy policy : NumaPolicy.values()) {
      TableOptions options = TableOptions.defaults().placement(Placement.RESIDENT).numa(policy);
      try (Arena arena = Arena.ofShared();
          HeldTable held = new TableOpener(options, system).open(source, 1, arena)) {
        byte[] expected = read(source.map(arena), 0, 99, ROWS - 1);
        boolean copied = policy == NumaPolicy.COPY_PER_NODE;
        List<Table> copies = held.table().copies();
        assertEquals(copied ? 2 : 1, copies.size());
        for (system.node = 0; system.node < 2; system.node++) {
          assertArrayEquals(expected, read(held.table(), 0, 99, ROWS - 1), "" + policy);
          assertEquals(copied ? system.node : 0, held.table().nearest());
        }
        copies.getLast().weight().fill((byte) 0);
        system.node = 0;
        assertEquals(
            copied, java.util.Arrays.equals(expected, read(held.table(), 0, 99, ROWS - 1)));
      }
    }
  }
}
