package io.engram4j.table.io;

import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import io.engram4j.table.io.TableFile.Region;
import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;

/**
 * The reads that one caller needs. Rows are put in the order of the file, so that those in one run
 * of blocks are one read, and a row that is wanted twice is read once. Reused, so that it allocates
 * nothing once it has grown.
 */
final class ReadPlan {
  /** Rows at a time: an index of them fits beside a row id into a long. */
  static final int MOST_ROWS = 1 << 14;

  /** Longest read of several rows. */
  static final int MOST_BYTES = 128 << 10;

  private static final int INDEX_BITS = 14;

  private final TableFile table;
  private final List<Source> sources;
  private long[] wanted = new long[64]; // row id, then index in the caller's order; sorted
  private int[] ends = new int[64]; // per read, behind its last wanted row
  private int[] begins = new int[64]; // per read, its first wanted row
  private int[] sourceOf = new int[64];
  private int reads;
  private long bytes;
  private int count;
  private MemorySegment rows = MemorySegment.NULL;

  /**
   * One region of some rows, in a file.
   *
   * @param firstRow the row that lies first in it
   * @param rows how many there are
   * @param block reads begin and end at its multiples
   * @param rowOffset where a row's part of this region goes in the row
   */
  record Source(Region region, long firstRow, long rows, int block, int rowOffset) {
    long at(long row) {
      return region.at(row - firstRow);
    }

    /** Returns the bytes of the longest read. */
    int mostBytes() {
      return Math.max(MOST_BYTES, Math.toIntExact(region.bytes()) + 2 * block);
    }
  }

  ReadPlan(TableFile table, List<Source> sources) {
    this.table = table;
    this.sources = sources;
  }

  /** Plans the reads. */
  void prepare(MemorySegment rowIds, int ids, MemorySegment to) {
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
  }

  private void plan(int index) {
    Source source = sources.get(index);
    int first = firstFrom(source.firstRow());
    int last = firstFrom(source.firstRow() + source.rows());
    while (first < last) {
      long start = firstByte(source, first);
      long end = endByte(source, first);
      int behind = first + 1;
      while (behind < last
          && firstByte(source, behind) <= end
          && endByte(source, behind) - start <= MOST_BYTES) {
        end = Math.max(end, endByte(source, behind));
        behind++;
      }
      if (reads == ends.length) {
        begins = Arrays.copyOf(begins, 2 * reads);
        ends = Arrays.copyOf(ends, 2 * reads);
        sourceOf = Arrays.copyOf(sourceOf, 2 * reads);
      }
      bytes += end - start;
      begins[reads] = first;
      ends[reads] = behind;
      sourceOf[reads++] = index;
      first = behind;
    }
  }

  private long row(int i) {
    return wanted[i] >>> INDEX_BITS;
  }

  private static long floor(Source source, long at) {
    return at / source.block() * source.block();
  }

  private long firstByte(Source source, int i) {
    return floor(source, source.at(row(i)));
  }

  private long endByte(Source source, int i) {
    long end = source.at(row(i)) + source.region().bytes();
    return floor(source, end + source.block() - 1);
  }

  private int first(int read) {
    return begins[read];
  }

  /** Returns the place among wanted rows of the first that is not before a row. */
  private int firstFrom(long row) {
    int low = 0;
    int high = count;
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (row(middle) < row) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  /** Returns the reads that are needed. */
  int reads() {
    return reads;
  }

  /** Returns the bytes that they take. */
  long bytes() {
    return bytes;
  }

  /** Returns which of the table's sources a read is of. */
  int source(int read) {
    return sourceOf[read];
  }

  /** Returns the bytes at whose multiples a read begins, and goes on if it came short. */
  int block(int read) {
    return sources.get(sourceOf[read]).block();
  }

  /** Returns the first byte of a read in its file. */
  long start(int read) {
    return firstByte(sources.get(sourceOf[read]), first(read));
  }

  /** Returns the bytes of a read. */
  int length(int read) {
    return (int) (endByte(sources.get(sourceOf[read]), ends[read] - 1) - start(read));
  }

  /**
   * Returns the bytes of a read without which a row lacks: the last block may reach past the file.
   */
  int needed(int read) {
    Source source = sources.get(sourceOf[read]);
    return (int) (source.at(row(ends[read] - 1)) + source.region().bytes() - start(read));
  }

  /** Copies a read's rows from its bytes to where the caller wants them. */
  void scatter(int read, MemorySegment from) {
    Source source = sources.get(sourceOf[read]);
    Region region = source.region();
    long start = start(read);
    for (int i = first(read); i < ends[read]; i++) {
      long target = (wanted[i] & (MOST_ROWS - 1)) * table.rowBytes() + source.rowOffset();
      MemorySegment.copy(from, source.at(row(i)) - start, rows, target, region.bytes());
    }
  }

  EOFException ended(int read, long size) {
    Region region = sources.get(sourceOf[read]).region();
    String where = " ends at byte " + size + ", before row " + row(ends[read] - 1) + " of ";
    return new EOFException(region.file() + where + table.name());
  }

  IOException failed(int read, String why) {
    String file = sources.get(sourceOf[read]).region().file().toString();
    return new IOException(
        "reading " + length(read) + " bytes at " + start(read) + " of " + file + " failed: " + why);
  }

  /** Forgets where rows go, so that a plan that waits to be used again keeps no memory alive. */
  void end() {
    rows = MemorySegment.NULL;
  }
}
