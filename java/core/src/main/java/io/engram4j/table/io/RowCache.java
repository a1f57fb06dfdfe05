package io.engram4j.table.io;

import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import io.engram4j.table.RowSource;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.LongAdder;

/**
 * Rows that were read lately, in a bounded part of memory off the heap: sets of eight places. Rows
 * count their uses; a hand goes round each set and takes one use from every row it passes, and the
 * first that has none left goes. Rows of a seed can be held for good.
 *
 * <p>Why this and no general cache: docs/decisions/0009. Thread-safe; a lookup takes the lock of
 * one of 64 groups of sets.
 */
final class RowCache implements RowSource {
  private static final int WAYS = 8;
  private static final int STRIPES = 64;
  private static final int MOST_HELD = 6; // of a set's places, so that others still pass through
  private static final byte HELD = 16;
  private static final int COUNT = 15; // the bits of a mark that count uses

  private final RowSource source;
  private final int rowBytes;
  private final int sets;
  private final MemorySegment rows;
  private final long[] keys; // row id + 1; 0 is an empty place
  private final byte[] marks; // uses left, up to COUNT; HELD
  private final byte[] hands;
  private final Object[] locks = new Object[STRIPES];
  private final ConcurrentLinkedQueue<Misses> idle = new ConcurrentLinkedQueue<>();
  private final LongAdder hits = new LongAdder();
  private final LongAdder misses = new LongAdder();
  private final LongAdder evictions = new LongAdder();

  /** What one caller must read from below. */
  private static final class Misses {
    private MemorySegment ids = MemorySegment.NULL;
    private MemorySegment rows = MemorySegment.NULL;
    private int[] places = {};

    void reserve(int count, int rowBytes) {
      if (places.length < count) {
        places = new int[Math.max(64, 2 * count)];
        ids = Arena.ofAuto().allocate(8L * places.length, 64);
        rows = Arena.ofAuto().allocate((long) places.length * rowBytes, 64);
      }
    }
  }

  /** A cache of so many bytes over a reader that somebody else closes. */
  RowCache(RowSource source, int rowBytes, long bytes) {
    this.source = source;
    this.rowBytes = rowBytes;
    long wanted = bytes / ((long) WAYS * (rowBytes + 9));
    this.sets = (int) Math.max(1, Math.min(wanted, Integer.MAX_VALUE / WAYS - 1));
    this.rows = Arena.ofAuto().allocate((long) sets * WAYS * rowBytes, 64);
    this.keys = new long[sets * WAYS];
    this.marks = new byte[sets * WAYS];
    this.hands = new byte[sets];
    for (int i = 0; i < STRIPES; i++) {
      locks[i] = new Object();
    }
  }

  private int set(long row) {
    long hash = row * 0x9e3779b97f4a7c15L;
    return (int) Math.floorMod(hash ^ hash >>> 32, (long) sets);
  }

  @Override
  public void read(MemorySegment rowIds, long count, MemorySegment to) {
    if (count > ReadPlan.MOST_ROWS) {
      for (long first = 0; first < count; first += ReadPlan.MOST_ROWS) {
        long some = Math.min(ReadPlan.MOST_ROWS, count - first);
        read(rowIds.asSlice(8 * first), some, to.asSlice(rowBytes * first));
      }
      return;
    }
    Misses missing = idle.poll();
    if (missing == null) {
      missing = new Misses();
    }
    missing.reserve((int) count, rowBytes);
    int left = 0;
    int wanted = 0;
    for (int i = 0; i < count; i++) {
      long row = rowIds.getAtIndex(JAVA_LONG_UNALIGNED, i);
      if (row < 0) {
        continue;
      }
      wanted++;
      if (!hit(row, to, (long) i * rowBytes)) {
        missing.ids.setAtIndex(JAVA_LONG_UNALIGNED, left, row);
        missing.places[left++] = i;
      }
    }
    hits.add(wanted - left);
    misses.add(left);
    if (left > 0) {
      source.read(missing.ids, left, missing.rows);
      for (int i = 0; i < left; i++) {
        long from = (long) i * rowBytes;
        MemorySegment.copy(missing.rows, from, to, (long) missing.places[i] * rowBytes, rowBytes);
        put(missing.ids.getAtIndex(JAVA_LONG_UNALIGNED, i), missing.rows, from, false);
      }
    }
    idle.add(missing);
  }

  private boolean hit(long row, MemorySegment to, long at) {
    int set = set(row);
    synchronized (locks[set % STRIPES]) {
      int place = find(set, row);
      if (place < 0) {
        return false;
      }
      if ((marks[place] & COUNT) < COUNT) {
        marks[place]++;
      }
      MemorySegment.copy(rows, (long) place * rowBytes, to, at, rowBytes);
      return true;
    }
  }

  private int find(int set, long row) {
    for (int place = set * WAYS; place < (set + 1) * WAYS; place++) {
      if (keys[place] == row + 1) {
        return place;
      }
    }
    return -1;
  }

  private void put(long row, MemorySegment from, long at, boolean hold) {
    int set = set(row);
    synchronized (locks[set % STRIPES]) {
      int place = find(set, row);
      if (place < 0) {
        place = victim(set);
        if (keys[place] != 0) {
          evictions.increment();
        }
        keys[place] = row + 1;
        marks[place] = 0; // a row seen once goes before those seen again
        MemorySegment.copy(from, at, rows, (long) place * rowBytes, rowBytes);
      }
      if (hold && held(set) < MOST_HELD) {
        marks[place] |= HELD;
      }
    }
  }

  private int held(int set) {
    int held = 0;
    for (int place = set * WAYS; place < (set + 1) * WAYS; place++) {
      held += (marks[place] & HELD) / HELD;
    }
    return held;
  }

  private int victim(int set) {
    for (int place = set * WAYS; place < (set + 1) * WAYS; place++) {
      if (keys[place] == 0) {
        return place;
      }
    }
    for (; ; ) {
      int place = set * WAYS + hands[set];
      hands[set] = (byte) ((hands[set] + 1) % WAYS);
      if (marks[place] == 0) {
        return place;
      }
      if ((marks[place] & COUNT) > 0) {
        marks[place]--;
      }
    }
  }

  /** Reads rows before anyone asks for them, and holds them as far as their sets allow. */
  void seed(long[] ids) {
    int step = 4096;
    try (Arena arena = Arena.ofShared()) {
      MemorySegment buffer = arena.allocate((long) step * rowBytes, 64);
      for (int from = 0; from < ids.length; from += step) {
        int count = Math.min(step, ids.length - from);
        MemorySegment some = MemorySegment.ofArray(ids).asSlice(8L * from, 8L * count);
        source.read(some, count, buffer);
        for (int i = 0; i < count; i++) {
          put(ids[from + i], buffer, (long) i * rowBytes, true);
        }
      }
    }
  }

  /** Returns the rows there is room for. */
  long capacity() {
    return (long) sets * WAYS;
  }

  @Override
  public Statistics statistics() {
    long used = 0;
    for (int set = 0; set < sets; set++) {
      synchronized (locks[set % STRIPES]) {
        for (int place = set * WAYS; place < (set + 1) * WAYS; place++) {
          used += keys[place] == 0 ? 0 : 1;
        }
      }
    }
    Statistics below = source.statistics();
    return new Statistics(
        below.rows(),
        below.reads(),
        below.bytes(),
        hits.sum(),
        misses.sum(),
        evictions.sum(),
        used * rowBytes,
        rows.byteSize());
  }
}
