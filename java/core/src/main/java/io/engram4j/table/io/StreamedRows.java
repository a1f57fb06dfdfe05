package io.engram4j.table.io;

import io.engram4j.host.HostFiles;
import io.engram4j.host.RegularFiles;
import io.engram4j.table.RowSource;
import io.engram4j.table.io.ReadPlan.Source;
import io.engram4j.table.io.TableFile.Part;
import io.engram4j.table.io.TableFile.Region;
import java.io.Closeable;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.LockSupport;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Reads rows from files past the page cache, many at once. Closing waits for the lookups that are
 * under way.
 */
final class StreamedRows implements RowSource, Closeable {
  private static final Logger LOG = LoggerFactory.getLogger(StreamedRows.class);

  /** Logical blocks of disks have 512 or 4096 bytes, and pages 4096 at least. */
  private static final int USUAL_BLOCK = 4096;

  private final TableFile table;
  private final List<Source> sources;
  private final RowReads files;
  private final ConcurrentLinkedQueue<ReadPlan> idle = new ConcurrentLinkedQueue<>();
  private final LongAdder rowsRead = new LongAdder();
  private final LongAdder reads = new LongAdder();
  private final LongAdder bytes = new LongAdder();
  private final AtomicInteger users = new AtomicInteger();
  private final AtomicBoolean closed = new AtomicBoolean();

  StreamedRows(TableFile table, HostFiles system, int depth) throws IOException {
    this.table = table;
    this.sources = sources(table, system);
    this.files = open(system, depth);
  }

  private static List<Source> sources(TableFile table, HostFiles system) throws IOException {
    List<Source> sources = new ArrayList<>();
    Map<Path, Integer> blocks = new HashMap<>();
    for (Part part : table.reads()) {
      int rowOffset = 0;
      for (Region region : part.regions()) {
        Integer block = blocks.get(region.file());
        if (block == null) {
          block = block(system, region.file());
          blocks.put(region.file(), block);
        }
        sources.add(new Source(region, part.first(), part.rows(), block, rowOffset));
        rowOffset += region.bytes();
      }
    }
    return List.copyOf(sources);
  }

  private static int block(HostFiles system, Path file) throws IOException {
    RegularFiles.requireOfSystem(file);
    return Math.max(USUAL_BLOCK, Math.min(RowReads.LARGEST_BLOCK, system.alignment(file)));
  }

  private RowReads open(HostFiles system, int depth) throws IOException {
    QueuedReads queued;
    try {
      queued = new QueuedReads(system, sources, depth);
    } catch (IOException e) {
      LOG.debug("{} is read by threads, since {}", table.name(), e.getMessage());
      return new PooledReads(table, sources, depth); // which tells if it is the file
    }
    try {
      for (int i = 0; i < sources.size(); i++) {
        Source source = sources.get(i);
        Region region = source.region();
        table.requireSize(region.file(), queued.size(i), region.end(source.rows()));
      }
      return queued;
    } catch (Throwable e) {
      queued.close();
      throw e;
    }
  }

  String description() {
    return files.description();
  }

  @Override
  public Statistics statistics() {
    return new Statistics(rowsRead.sum(), reads.sum(), bytes.sum(), 0, 0, 0, 0, 0, 0);
  }

  @Override
  public void read(MemorySegment rowIds, long count, MemorySegment rows) {
    users.incrementAndGet(); // before looking whether it is closed, so that close sees it
    try {
      if (closed.get()) {
        throw new IllegalStateException("the files of " + table.name() + " are closed");
      }
      long row = table.rowBytes();
      for (long first = 0; first < count; first += ReadPlan.MOST_ROWS) {
        int some = (int) Math.min(ReadPlan.MOST_ROWS, count - first);
        MemorySegment ids = first == 0 ? rowIds : rowIds.asSlice(8 * first);
        readSome(ids, some, first == 0 ? rows : rows.asSlice(row * first));
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } finally {
      users.decrementAndGet();
    }
  }

  private void readSome(MemorySegment rowIds, int count, MemorySegment rows) throws IOException {
    ReadPlan plan = idle.poll();
    if (plan == null) {
      plan = new ReadPlan(table, sources);
    }
    plan.prepare(rowIds, count, rows);
    files.run(plan);
    rowsRead.add(count);
    reads.add(plan.reads());
    bytes.add(plan.bytes());
    plan.end();
    idle.add(plan);
  }

  @Override
  public void close() throws IOException {
    if (!closed.compareAndSet(false, true)) {
      return;
    }
    while (users.get() > 0) {
      LockSupport.parkNanos(100_000); // a lookup takes about as long
    }
    files.close();
  }
}
