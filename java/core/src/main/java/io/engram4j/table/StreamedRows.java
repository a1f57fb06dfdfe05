package io.engram4j.table;

import io.engram4j.gather.RowReader;
import io.engram4j.table.TableFile.Region;
import java.io.Closeable;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.atomic.LongAdder;

/**
 * Reads rows from files past the page cache, many at once: a few threads with a buffer each, which
 * take the reads of all callers in turn. Only they touch the files, since a caller that is
 * interrupted in the midst of a read would close the file for all.
 */
final class StreamedRows implements RowReader, Closeable {
  /** Longest read: rows that lie side by side are fetched together. */
  static final int MOST_BYTES = 128 << 10;

  private final TableFile table;
  private final List<Source> sources = new ArrayList<>();
  private final BlockingQueue<Fetch> tickets = new LinkedBlockingQueue<>();
  private final ConcurrentLinkedQueue<Fetch> idle = new ConcurrentLinkedQueue<>();
  private final List<Thread> threads = new ArrayList<>();
  private final boolean direct;
  private final LongAdder rowsRead = new LongAdder();
  private final LongAdder reads = new LongAdder();
  private final LongAdder bytes = new LongAdder();
  private final Fetch stop;
  private volatile boolean closed;

  /** One region of the rows, in an open file. */
  record Source(Region region, FileChannel channel, int block, int rowOffset) {}

  StreamedRows(TableFile table, int depth) throws IOException {
    this.table = table;
    this.stop = new Fetch(table, List.of());
    boolean pastCache = true;
    try {
      Region weight = table.weight();
      Region scale = table.scale();
      if (table.isInterleaved()) {
        Region rows = new Region(weight.file(), weight.offset(), weight.stride(), table.rowBytes());
        pastCache = add(rows, 0);
      } else {
        pastCache = add(weight, 0);
        pastCache &= scale == null || add(scale, weight.bytes());
      }
    } catch (IOException | RuntimeException e) {
      closeFiles();
      throw e;
    }
    this.direct = pastCache;
    try {
      for (int i = 0; i < depth; i++) {
        // here, not in the thread: one that died for want of a buffer would leave callers waiting
        ByteBuffer buffer = ByteBuffer.allocateDirect(MOST_BYTES + 65536).alignedSlice(4096);
        threads.add(
            Thread.ofPlatform().daemon().name("engram-stream-" + i).start(() -> serve(buffer)));
      }
    } catch (OutOfMemoryError e) {
      close();
      throw new IOException(
          "no memory for " + depth + " reads at once of " + table.name() + ": " + e.getMessage(),
          e);
    }
  }

  /** Opens a region's file, past the page cache if its file system can; returns whether it can. */
  private boolean add(Region region, int rowOffset) throws IOException {
    Path file = region.file();
    int block = (int) Math.max(512, Math.min(65536, Files.getFileStore(file).getBlockSize()));
    FileChannel channel;
    boolean pastCache = true;
    try {
      channel = FileChannel.open(file, StandardOpenOption.READ, pastCache());
    } catch (UnsupportedOperationException | IOException e) {
      channel = FileChannel.open(file, StandardOpenOption.READ);
      pastCache = false;
    }
    sources.add(new Source(region, channel, block, rowOffset));
    table.requireSize(file, channel, region.end(table.rows()));
    return pastCache;
  }

  /** The JDK's option for it, which is no part of its standard API, so there may be none. */
  private static OpenOption pastCache() throws IOException {
    try {
      Class<?> options = Class.forName("com.sun.nio.file.ExtendedOpenOption");
      for (Object option : options.getEnumConstants()) {
        if (option.toString().equals("DIRECT")) {
          return (OpenOption) option;
        }
      }
    } catch (ClassNotFoundException e) {
      throw new IOException("this JDK cannot read past the page cache", e);
    }
    throw new IOException("this JDK cannot read past the page cache");
  }

  String description() {
    return threads.size() + " reads at once, " + (direct ? "past" : "through") + " the page cache";
  }

  @Override
  public Statistics statistics() {
    return new Statistics(rowsRead.sum(), reads.sum(), bytes.sum(), 0, 0, 0, 0, 0);
  }

  @Override
  public void read(MemorySegment rowIds, long count, MemorySegment rows) {
    if (count > Fetch.MOST_ROWS) {
      long row = table.rowBytes();
      for (long first = 0; first < count; first += Fetch.MOST_ROWS) {
        long some = Math.min(Fetch.MOST_ROWS, count - first);
        read(rowIds.asSlice(8 * first), some, rows.asSlice(row * first));
      }
      return;
    }
    if (closed) {
      throw new IllegalStateException("the files of " + table.name() + " are closed");
    }
    Fetch fetch = idle.poll();
    if (fetch == null) {
      fetch = new Fetch(table, sources);
    }
    int planned = fetch.prepare(rowIds, (int) count, rows);
    for (int i = Math.min(planned, threads.size()); i > 0; i--) {
      tickets.add(fetch);
    }
    fetch.await();
    rowsRead.add(count);
    reads.add(planned);
    bytes.add(fetch.bytes());
    idle.add(fetch);
    fetch.requireRead();
  }

  /** A thread's life: helps whoever asks until the files are closed. */
  private void serve(ByteBuffer buffer) {
    for (; ; ) {
      try {
        Fetch fetch = tickets.take();
        if (fetch == stop) {
          return;
        }
        fetch.help(buffer);
      } catch (InterruptedException e) {
        Thread.interrupted(); // nobody has a reason to; the files stay open
      }
    }
  }

  @Override
  public void close() throws IOException {
    closed = true;
    for (int i = 0; i < threads.size(); i++) {
      tickets.add(stop); // behind the tickets of those who still wait
    }
    boolean interrupted = false;
    for (Thread thread : threads) {
      while (thread.isAlive()) {
        try {
          thread.join();
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    closeFiles();
  }

  private void closeFiles() throws IOException {
    for (Source source : sources) {
      source.channel().close();
    }
  }
}
