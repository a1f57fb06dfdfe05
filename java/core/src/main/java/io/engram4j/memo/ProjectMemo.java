package io.engram4j.memo;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import io.engram4j.cache.SetCache;
import io.engram4j.host.Hosts;
import io.engram4j.model.LayerLayout;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.LongAdder;
import org.jspecify.annotations.Nullable;

/**
 * What n-grams of each order have contributed to key and value, float32 [outputs] each: a pure
 * function of their ids, and the dearest thing a layer computes. In a bounded part of memory. In
 * text that repeats itself little, such as prose, an n-gram gets another's place only when it comes
 * again: most come once, would push out those that do not, and cost a copy of 100 KB each.
 * Thread-safe.
 *
 * <p>A place is taken under its lock, filled by the thread that took it, and then made ready. Who
 * has a place pinned may read it without the lock.
 */
final class ProjectMemo implements AutoCloseable {
  /** The n-gram is not here, and there is no place for it: the caller keeps what it computes. */
  static final int PRIVATE = Integer.MIN_VALUE;

  private static final int SEEN_PER_PLACE = 8;

  /** Share of n-grams that are known above which all are let in; source code has 0.7, prose 0.2. */
  private static final float REPETITIVE = 0.5f;

  private static final float RECENT = 1f / 4096;

  private final int outputs;
  private final int words; // of a key
  private final SetCache cache;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment store;
  private final @Nullable Object[] fillers;
  private float known; // share of recent lookups that hit; threads that race lose a count
  private final byte[] seen; // by hash, a mark of the n-gram that was turned away there last
  private final LongAdder hits = new LongAdder();
  private final LongAdder misses = new LongAdder();

  /**
   * A memo of so many bytes.
   *
   * @throws IllegalArgumentException if that is too little for a set of entries, or there is not so
   *     much memory
   */
  ProjectMemo(LayerLayout layout, int outputs, long bytes) {
    this.outputs = outputs;
    this.words = MemoKey.words(layout.maxNgram());
    long entry = 4L * outputs + SetCache.overhead(words) + SEEN_PER_PLACE;
    long sets = bytes / (SetCache.WAYS * entry);
    if (sets < 1) {
      throw new IllegalArgumentException(
          "a memo of "
              + bytes
              + " bytes has no room for "
              + SetCache.WAYS
              + " entries of "
              + 4 * outputs);
    }
    this.cache = new SetCache(sets, words);
    int places = cache.places();
    try {
      // pages come as they are used
      this.store = Hosts.find().memory().allocate(4L * outputs * places, arena);
    } catch (IOException e) {
      arena.close();
      throw new IllegalArgumentException("no memory for a memo of " + bytes + " bytes", e);
    }
    this.fillers = new Object[places];
    this.seen = new byte[Integer.highestOneBit(places) * SEEN_PER_PLACE];
  }

  /** Returns the longs of a key. */
  int words() {
    return words;
  }

  /**
   * Looks an n-gram up and pins its place.
   *
   * @param key made by {@link MemoKey}
   * @param filler who will fill a place that is taken for it; finds it again as if it were filled
   * @return its place; or, if it is the caller's to fill, the place's complement; or {@link
   *     #PRIVATE}
   */
  int pin(long[] key, Object filler) {
    long hash = SetCache.hash(key, words);
    int set = cache.set(hash);
    synchronized (cache.lock(set)) {
      int place = cache.find(set, key);
      if (place >= 0) {
        Object owner = fillers[place];
        if (owner != null && owner != filler) {
          misses.increment();
          return PRIVATE; // another thread is at it
        }
        hits.increment();
        known += (1 - known) * RECENT;
        cache.pin(place);
        cache.use(place);
        return place;
      }
      misses.increment();
      known -= known * RECENT;
      place = cache.empty(set);
      if (place < 0 && known < REPETITIVE && !cameBefore(hash)) {
        return PRIVATE;
      }
      place = place < 0 ? cache.victim(set) : place;
      if (place < 0) {
        return PRIVATE; // all are being read
      }
      return occupy(place, key, filler);
    }
  }

  /**
   * Takes an empty place for an n-gram of a seed; pushes nothing out, and counts no miss.
   *
   * @return the complement of its place, which is the caller's to fill, or {@link #PRIVATE} if the
   *     n-gram is here, or its set is full
   */
  int take(long[] key, Object filler) {
    int set = cache.set(SetCache.hash(key, words));
    synchronized (cache.lock(set)) {
      int place = cache.find(set, key) >= 0 ? SetCache.NONE : cache.empty(set);
      return place < 0 ? PRIVATE : occupy(place, key, filler);
    }
  }

  private int occupy(int place, long[] key, Object filler) {
    cache.put(place, key);
    cache.pin(place);
    fillers[place] = filler;
    return ~place;
  }

  /** Marks are overwritten and can be another's: then an n-gram comes in early, or late. */
  private boolean cameBefore(long hash) {
    int at = (int) (hash >>> 8) & (seen.length - 1);
    byte mark = (byte) (hash >>> 56 | 1);
    boolean before = seen[at] == mark;
    seen[at] = mark;
    return before;
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
    synchronized (cache.lock(SetCache.setOf(place))) {
      fillers[place] = null;
      if (!well) {
        cache.clear(place);
      }
    }
  }

  void unpin(int place) {
    synchronized (cache.lock(SetCache.setOf(place))) {
      cache.unpin(place);
    }
  }

  /** Returns what it has done. */
  MemoCounts counts() {
    long bytes = 4L * outputs;
    return new MemoCounts(
        hits.sum(), misses.sum(), cache.evictions(), bytes * cache.used(), bytes * cache.places());
  }

  @Override
  public void close() {
    arena.close();
  }
}
