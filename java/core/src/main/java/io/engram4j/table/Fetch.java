package io.engram4j.table;

import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import io.engram4j.table.StreamedRows.Source;
import io.engram4j.table.TableFile.Region;
import java.io.EOFException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * The reads that one caller waits for. Rows are put in the order of the file, so that those in one
 * run of blocks are one read, and a row that is wanted twice is read once. Reused, so that it
 * allocates nothing once it has grown.
 */
final class Fetch {
  /** Rows at a time: an index of them fits beside a row id into a long. */
  static final int MOST_ROWS = 1 << 14;

  private static final int INDEX_BITS = 14;

  private final TableFile table;
  private final List<Source> sources;
  private long[] wanted = new long[64]; // row id, then index in the caller's order; sorted
  private int[] ends = new int[64]; // per read, behind its last wanted row
  private int[] sourceOf = new int[64];
  private final AtomicLong next = new AtomicLong(); // turn, and in the lower half the next read
  private volatile int turn;
  private final AtomicInteger left = new AtomicInteger();
  private int reads;
  private long bytes;
  private int count;
  private MemorySegment rows = MemorySegment.NULL;
  private volatile @Nullable Thread waiter;
  private volatile @Nullable IOException failure;

  Fetch(TableFile table, List<Source> sources) {
    this.table = table;
    this.sources = sources;
  }

  /** Plans the reads; returns how many there are. */
  int prepare(MemorySegment rowIds, int ids, MemorySegment to) {
    int own = turn + 1;
    turn = own; // whoever still holds a ticket of the turn before gets nothing of this one
    failure = null;
    rows = to;
    count = 0;
    if (wanted.length < ids) {
      wanted = new long[Math.max(ids, 2 * wanted.length)];
    }
    for (int i = 0; i < ids; i++) {
      long row = rowIds.getAtIndex(JAVA_LONG_UNALIGNED, i);
      if (row >= 0) {
        wanted[count++] = row << INDEX_BITS | i;
      }
    }
    Arrays.sort(wanted, 0, count);
    reads = 0;
    bytes = 0;
    for (int source = 0; source < sources.size(); source++) {
      plan(source);
    }
    left.set(reads);
    waiter = Thread.currentThread();
    next.set((long) own << 32);
    return reads;
  }

  private void plan(int index) {
    Source source = sources.get(index);
    int first = 0;
    while (first < count) {
      long start = firstByte(source, first);
      long end = endByte(source, first);
      int behind = first + 1;
      while (behind < count
          && firstByte(source, behind) <= end
          && endByte(source, behind) - start <= StreamedRows.MOST_BYTES) {
        end = Math.max(end, endByte(source, behind));
        behind++;
      }
      if (reads == ends.length) {
        ends = Arrays.copyOf(ends, 2 * reads);
        sourceOf = Arrays.copyOf(sourceOf, 2 * reads);
      }
      bytes += end - start;
      ends[reads] = behind;
      sourceOf[reads++] = index;
      first = behind;
    }
  }

  private long row(int i) {
    return wanted[i] >>> INDEX_BITS;
  }

  private long firstByte(Source source, int i) {
    return source.region().at(row(i)) / source.block() * source.block();
  }

  private long endByte(Source source, int i) {
    long end = source.region().at(row(i)) + source.region().bytes();
    return (end + source.block() - 1) / source.block() * source.block();
  }

  /** Returns the bytes that the planned reads take. */
  long bytes() {
    return bytes;
  }

  /** Does reads until there are none left. */
  void help(ByteBuffer buffer) {
    for (; ; ) {
      long claim = next.getAndIncrement();
      int read = (int) claim;
      if ((int) (claim >>> 32) != turn || read >= reads) {
        return;
      }
      try {
        if (failure == null) {
          read(read, buffer);
        }
      } catch (IOException e) {
        failure = e;
      } catch (RuntimeException | Error e) {
        failure = new IOException("reading rows of " + table.name() + " failed: " + e, e);
      } finally {
        if (left.decrementAndGet() == 0) {
          LockSupport.unpark(waiter);
        }
      }
    }
  }

  private void read(int read, ByteBuffer shared) throws IOException {
    Source source = sources.get(sourceOf[read]);
    int first = read == 0 || sourceOf[read - 1] != sourceOf[read] ? 0 : ends[read - 1];
    long start = firstByte(source, first);
    long end = endByte(source, ends[read] - 1);
    long needed = source.region().at(row(ends[read] - 1)) + source.region().bytes() - start;
    ByteBuffer buffer =
        end - start <= shared.capacity()
            ? shared.clear().limit((int) (end - start))
            : ByteBuffer.allocateDirect((int) (end - start) + 4096)
                .alignedSlice(4096)
                .limit((int) (end - start));
    while (buffer.position() < needed) {
      int got = source.channel().read(buffer, start + buffer.position());
      if (got <= 0) {
        throw new EOFException(
            source.region().file()
                + " ends at byte "
                + source.channel().size()
                + ", before row "
                + row(ends[read] - 1)
                + " of "
                + table.name());
      }
    }
    MemorySegment from = MemorySegment.ofBuffer(buffer.flip());
    Region region = source.region();
    for (int i = first; i < ends[read]; i++) {
      long target = (wanted[i] & (MOST_ROWS - 1)) * table.rowBytes() + source.rowOffset();
      MemorySegment.copy(from, region.at(row(i)) - start, rows, target, region.bytes());
    }
  }

  /** Waits for all reads; an interrupt is kept for later, as they take no time worth breaking. */
  void await() {
    boolean interrupted = false;
    while (left.get() > 0) {
      LockSupport.park(this);
      interrupted |= Thread.interrupted();
    }
    waiter = null;
    rows = MemorySegment.NULL;
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  void requireRead() {
    IOException failed = failure;
    if (failed != null) {
      throw new UncheckedIOException(failed);
    }
  }
}
