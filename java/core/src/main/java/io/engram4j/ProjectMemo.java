package io.engram4j;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;

import io.engram4j.LayerStatistics.MemoStatistics;
import io.engram4j.host.Hosts;
import io.engram4j.model.LayerLayout;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.LongAdder;
import org.jspecify.annotations.Nullable;

/**
 * What n-grams of each order have contributed to key and value, float32 [outputs] each: a pure
 * function of their ids, and the dearest thing a layer computes. In a bounded part of memory, in
 * sets of eight places; a hand goes round each set and takes one use from every entry it passes,
 * and the first that has none left goes, unless somebody is reading it. In text that repeats itself
 * little, such as prose, an n-gram gets another's place only when it comes again: most come once,
 * would push out those that do not, and cost a copy of 100 KB each. Thread-safe.
 *
 * <p>A place is taken under its lock, filled by the thread that took it, and then made ready. Who
 * has a place pinned may read it without the lock.
 */
final class ProjectMemo {
  /** The n-gram is not here, and there is no place for it: the caller keeps what it computes. */
  static final int PRIVATE = Integer.MIN_VALUE;

  private static final int WAYS = 8;
  private static final int STRIPES = 64;
  private static final int MOST_USES = 15;
  private static final int SEEN_PER_PLACE = 8;

  /** Share of n-grams that are known above which all are let in; source code has 0.7, prose 0.2. */
  private static final float REPETITIVE = 0.5f;

  private static final float RECENT = 1f / 4096;

  private final int outputs;
  private final int stride; // of a key: its length, then ids, newest first
  private final int sets;
  private final MemorySegment store;
  private final int[] keys;
  private final byte[] uses;
  private final byte[] hands;
  private final int[] pins;
  private final @Nullable Object[] fillers;
  private float known; // share of recent lookups that hit; threads that race lose a count
  private final byte[] seen; // by hash, a mark of the n-gram that was turned away there last
  private final Object[] locks = new Object[STRIPES];
  private final LongAdder hits = new LongAdder();
  private final LongAdder misses = new LongAdder();
  private final LongAdder evictions = new LongAdder();

  /**
   * A memo of so many bytes.
   *
   * @throws IllegalArgumentException if that is too little for a set of entries, or there is not so
   *     much memory
   */
  ProjectMemo(LayerLayout layout, int outputs, long bytes) {
    this.outputs = outputs;
    this.stride = 1 + layout.maxNgram();
    long wanted = bytes / (WAYS * (4L * outputs + 4L * stride + 16));
    if (wanted < 1) {
      throw new IllegalArgumentException(
          "a memo of " + bytes + " bytes has no room for " + WAYS + " entries of " + 4 * outputs);
    }
    this.sets = (int) Math.min(wanted, Integer.MAX_VALUE / WAYS / stride - 1);
    int places = sets * WAYS;
    try {
      // pages come as they are used
      this.store = Hosts.find().memory().allocate(4L * outputs * places, Arena.ofAuto());
    } catch (IOException e) {
      throw new IllegalArgumentException("no memory for a memo of " + bytes + " bytes", e);
    }
    this.keys = new int[places * stride];
    this.uses = new byte[places];
    this.hands = new byte[sets];
    this.pins = new int[places];
    this.fillers = new Object[places];
    this.seen = new byte[Integer.highestOneBit(places) * SEEN_PER_PLACE];
    for (int i = 0; i < STRIPES; i++) {
      locks[i] = new Object();
    }
  }

  private Object lock(int place) {
    return locks[place / WAYS % STRIPES];
  }

  /**
   * Looks an n-gram up and pins its place.
   *
   * @param windows of which the {@code token}-th begins with the n-gram's ids
   * @param filler who will fill a place that is taken for it; finds it again as if it were filled
   * @return its place; or, if it is the caller's to fill, the place's complement; or {@link
   *     #PRIVATE}
   */
  int pin(MemorySegment windows, int token, int length, Object filler) {
    long at = 4L * token * (stride - 1);
    long hash = hash(windows, at, length);
    int first = first(hash);
    synchronized (lock(first)) {
      int place = find(first, windows, at, length);
      if (place >= 0) {
        Object owner = fillers[place];
        if (owner != null && owner != filler) {
          misses.increment();
          return PRIVATE; // another thread is at it
        }
        hits.increment();
        known += (1 - known) * RECENT;
        pins[place]++;
        uses[place] = (byte) Math.min(MOST_USES, uses[place] + 1);
        return place;
      }
      misses.increment();
      known -= known * RECENT;
      place = empty(first);
      if (place < 0 && known < REPETITIVE && !cameBefore(hash)) {
        return PRIVATE;
      }
      place = place < 0 ? victim(first) : place;
      if (place < 0) {
        return PRIVATE;
      }
      if (keys[place * stride] != 0) {
        evictions.increment();
      }
      occupy(place, windows, at, length, filler);
      return ~place;
    }
  }

  /**
   * Takes an empty place for an n-gram of a seed; pushes nothing out, and counts no miss.
   *
   * @return the complement of its place, which is the caller's to fill, or {@link #PRIVATE} if the
   *     n-gram is here, or its set is full
   */
  int take(MemorySegment windows, int token, int length, Object filler) {
    long at = 4L * token * (stride - 1);
    int first = first(hash(windows, at, length));
    synchronized (lock(first)) {
      int place = find(first, windows, at, length) >= 0 ? -1 : empty(first);
      if (place < 0) {
        return PRIVATE;
      }
      occupy(place, windows, at, length, filler);
      return ~place;
    }
  }

  private static long hash(MemorySegment windows, long at, int length) {
    long hash = length;
    for (int i = 0; i < length; i++) {
      hash = (hash ^ windows.get(JAVA_INT_UNALIGNED, at + 4L * i)) * 0x9e3779b97f4a7c15L;
      hash ^= hash >>> 29;
    }
    return hash;
  }

  private int first(long hash) {
    return WAYS * (int) Math.floorMod(hash, (long) sets);
  }

  private void occupy(int place, MemorySegment windows, long at, int length, Object filler) {
    int key = place * stride;
    keys[key] = length;
    for (int i = 0; i < length; i++) {
      keys[key + 1 + i] = windows.get(JAVA_INT_UNALIGNED, at + 4L * i);
    }
    uses[place] = 0;
    pins[place] = 1;
    fillers[place] = filler;
  }

  private int find(int first, MemorySegment windows, long at, int length) {
    for (int place = first; place < first + WAYS; place++) {
      int key = place * stride;
      boolean same = keys[key] == length;
      for (int i = 0; same && i < length; i++) {
        same = keys[key + 1 + i] == windows.get(JAVA_INT_UNALIGNED, at + 4L * i);
      }
      if (same) {
        return place;
      }
    }
    return -1;
  }

  private int empty(int first) {
    for (int place = first; place < first + WAYS; place++) {
      if (keys[place * stride] == 0 && pins[place] == 0) {
        return place;
      }
    }
    return -1;
  }

  /** Marks are overwritten and can be another's: then an n-gram comes in early, or late. */
  private boolean cameBefore(long hash) {
    int at = (int) (hash >>> 8) & (seen.length - 1);
    byte mark = (byte) (hash >>> 56 | 1);
    boolean before = seen[at] == mark;
    seen[at] = mark;
    return before;
  }

  private int victim(int first) {
    int set = first / WAYS;
    for (int step = 0; step < WAYS * (MOST_USES + 1); step++) {
      int place = first + hands[set];
      hands[set] = (byte) ((hands[set] + 1) % WAYS);
      if (pins[place] == 0 && uses[place] == 0) {
        return place;
      }
      uses[place] = (byte) Math.max(0, uses[place] - 1);
    }
    return -1; // all are being read
  }

  /** Copies some of an entry's outputs; for whoever has its place pinned. */
  void read(int place, int first, int count, float[] to) {
    MemorySegment.copy(store, JAVA_FLOAT_UNALIGNED, at(place, first), to, 0, count);
  }

  /** Writes some of an entry's outputs, from a byte on; for whoever is filling its place. */
  void write(int place, int first, int count, MemorySegment from, long fromByte) {
    MemorySegment.copy(from, fromByte, store, at(place, first), 4L * count);
  }

  private long at(int place, int first) {
    return 4L * ((long) outputs * place + first);
  }

  /** Makes a place that was filled ready for all, or gives it up; it stays pinned. */
  void filled(int place, boolean well) {
    synchronized (lock(place)) {
      fillers[place] = null;
      if (!well) {
        keys[place * stride] = 0;
      }
    }
  }

  void unpin(int place) {
    synchronized (lock(place)) {
      pins[place]--;
    }
  }

  MemoStatistics statistics() {
    long entries = 0;
    for (int place = 0; place < sets * WAYS; place++) {
      synchronized (lock(place)) {
        entries += keys[place * stride] == 0 ? 0 : 1;
      }
    }
    long bytes = 4L * outputs;
    return new MemoStatistics(
        hits.sum(), misses.sum(), evictions.sum(), bytes * entries, bytes * sets * WAYS);
  }
}
