package io.engram4j.cache;

import java.util.Arrays;
import java.util.concurrent.atomic.LongAdder;

/**
 * Which key is in which place of a bounded cache: sets of eight places, eviction by CLOCK. A hit
 * adds a use to its place; a hand goes round the set and takes one use from every place it passes,
 * and the first that has none left is evicted, unless it is pinned or held. What places hold is the
 * owner's.
 *
 * <p>Places of one set are guarded by one of 64 locks ({@link #lock}); what a method's comment says
 * of a set must be called with that lock. Keys are a few longs, of which the first is not 0.
 */
public final class SetCache {
  /** Places of a set. */
  public static final int WAYS = 8;

  /** No place. */
  public static final int NONE = -1;

  private static final int STRIPES = 64;
  private static final int MOST_USES = 15; // the bits of a mark that count uses
  private static final byte HELD = 16;
  private static final int MOST_HELD = 6; // of a set's places, so that others still pass through

  private final int sets;
  private final int words;
  private final long[] keys; // [places, words]; the first word of an empty place is 0
  private final byte[] marks; // uses left, up to MOST_USES; HELD
  private final int[] pins;
  private final byte[] hands;
  private final Object[] locks = new Object[STRIPES];
  private final LongAdder evictions = new LongAdder();

  /**
   * An empty cache.
   *
   * @param wanted sets; fewer are made if arrays cannot hold so many
   * @param words longs of a key
   */
  public SetCache(long wanted, int words) {
    this.sets = Math.clamp(wanted, 1, Integer.MAX_VALUE / WAYS / words - 1);
    this.words = words;
    this.keys = new long[sets * WAYS * words];
    this.marks = new byte[sets * WAYS];
    this.pins = new int[sets * WAYS];
    this.hands = new byte[sets];
    Arrays.setAll(locks, i -> new Object());
  }

  /** Returns the heap bytes that a place takes beside what it holds. */
  public static int overhead(int words) {
    return 8 * words + 1 + 4;
  }

  /** Returns the number of places. */
  public int places() {
    return sets * WAYS;
  }

  /** Returns a key's hash. */
  public static long hash(long[] key, int words) {
    long hash = 0;
    for (int i = 0; i < words; i++) {
      hash = (hash ^ key[i]) * 0x9e3779b97f4a7c15L;
      hash ^= hash >>> 32;
    }
    return hash;
  }

  /** Returns the set of a hash. */
  public int set(long hash) {
    return (int) Math.floorMod(hash, (long) sets);
  }

  /** Returns the set of a place. */
  public static int setOf(int place) {
    return place / WAYS;
  }

  /** Returns the lock of a set. */
  public Object lock(int set) {
    return locks[set % STRIPES];
  }

  /** Returns the place of a key in its set, or {@link #NONE}. */
  public int find(int set, long[] key) {
    for (int place = set * WAYS; place < (set + 1) * WAYS; place++) {
      int at = place * words;
      if (keys[at] == key[0] && Arrays.equals(keys, at, at + words, key, 0, words)) {
        return place;
      }
    }
    return NONE;
  }

  /** Returns a place of a set that holds nothing and is not pinned, or {@link #NONE}. */
  public int empty(int set) {
    for (int place = set * WAYS; place < (set + 1) * WAYS; place++) {
      if (keys[place * words] == 0 && pins[place] == 0) {
        return place;
      }
    }
    return NONE;
  }

  /** Returns the place of a set that is to be evicted, or {@link #NONE} if all are in use. */
  public int victim(int set) {
    for (int step = 0; step < WAYS * (MOST_USES + 1); step++) {
      int place = set * WAYS + hands[set];
      hands[set] = (byte) ((hands[set] + 1) % WAYS);
      if (pins[place] == 0 && marks[place] == 0) {
        return place;
      }
      if ((marks[place] & MOST_USES) > 0) {
        marks[place]--;
      }
    }
    return NONE;
  }

  /** Puts a key in a place, without uses, so that one seen once goes before those seen again. */
  public void put(int place, long[] key) {
    if (keys[place * words] != 0) {
      evictions.increment();
    }
    System.arraycopy(key, 0, keys, place * words, words);
    marks[place] = 0;
  }

  /** Empties a place. */
  public void clear(int place) {
    keys[place * words] = 0;
    marks[place] = 0;
  }

  /** Adds a use to a place. */
  public void use(int place) {
    if ((marks[place] & MOST_USES) < MOST_USES) {
      marks[place]++;
    }
  }

  /** Keeps a place for good, unless enough of its set are kept already. */
  public void hold(int place) {
    int set = setOf(place);
    int held = 0;
    for (int other = set * WAYS; other < (set + 1) * WAYS; other++) {
      held += (marks[other] & HELD) / HELD;
    }
    if (held < MOST_HELD) {
      marks[place] |= HELD;
    }
  }

  /** Keeps a place until {@link #unpin}. */
  public void pin(int place) {
    pins[place]++;
  }

  /** Takes back one {@link #pin}. */
  public void unpin(int place) {
    pins[place]--;
  }

  /** Returns how many places hold something; takes all locks, one after the other. */
  public long used() {
    long used = 0;
    for (int set = 0; set < sets; set++) {
      synchronized (lock(set)) {
        for (int place = set * WAYS; place < (set + 1) * WAYS; place++) {
          used += keys[place * words] == 0 ? 0 : 1;
        }
      }
    }
    return used;
  }

  /** Returns how many keys were evicted. */
  public long evictions() {
    return evictions.sum();
  }
}
