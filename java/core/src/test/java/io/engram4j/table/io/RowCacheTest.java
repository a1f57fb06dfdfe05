package io.engram4j.table.io;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.table.RowSource;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;

/** The cache gives the rows of what lies below it, keeps its bound, and counts. */
class RowCacheTest {
  private static final int ROW = 24;

  /** Rows whose every long is their id. */
  private static final RowSource NUMBERS =
      (ids, count, rows) -> {
        for (int i = 0; i < count; i++) {
          long id = ids.getAtIndex(ValueLayout.JAVA_LONG_UNALIGNED, i);
          for (int k = 0; k < ROW / 8 && id >= 0; k++) {
            rows.set(ValueLayout.JAVA_LONG_UNALIGNED, (long) i * ROW + 8L * k, id);
          }
        }
      };

  private static RowCache cache(long rows) {
    return new RowCache(NUMBERS, ROW, rows * (ROW + 9));
  }

  private static void check(RowCache cache, long... ids) {
    MemorySegment rows = Arena.ofAuto().allocate((long) ids.length * ROW, 8);
    cache.read(MemorySegment.ofArray(ids), ids.length, rows);
    for (int i = 0; i < ids.length; i++) {
      for (int k = 0; k < ROW / 8; k++) {
        long expected = ids[i] < 0 ? 0 : ids[i];
        assertEquals(expected, rows.get(ValueLayout.JAVA_LONG, (long) i * ROW + 8L * k));
      }
    }
  }

  @Test
  void countsHitsAndMissesAndKeepsItsBound() {
    RowCache cache = cache(800);
    check(cache, 5, -1, 7);
    check(cache, 5, 7, 9);
    RowSource.Statistics some = cache.statistics();
    assertEquals(2, some.hits());
    assertEquals(3, some.misses());
    assertEquals(3 * ROW, some.cachedBytes());
    SplittableRandom random = new SplittableRandom(1);
    for (int i = 0; i < 2000; i++) {
      check(cache, random.longs(20, 0, 5000).toArray());
    }
    RowSource.Statistics all = cache.statistics();
    assertEquals(800 * ROW, all.cacheBytes());
    assertTrue(all.cachedBytes() <= all.cacheBytes());
    assertEquals(40_005, all.hits() + all.misses());
    assertTrue(all.evictions() > 10_000, all.toString());
  }

  @Test
  void whatIsUsedAgainStays() {
    RowCache cache = cache(800);
    SplittableRandom random = new SplittableRandom(2);
    long before = 0;
    for (int i = 0; i < 3000; i++) {
      check(cache, random.nextLong(200)); // a quarter of the room
      check(cache, 1000L + i); // and what passes through once
      if (i == 1500) {
        before = cache.statistics().misses();
      }
    }
    long hot = cache.statistics().misses() - before - 1499;
    assertTrue(hot < 150, hot + " of 1,500 lookups of the hot rows missed");
  }

  @Test
  void seededRowsAreHeld() {
    RowCache cache = cache(4000);
    long[] seed = new long[1000];
    for (int i = 0; i < seed.length; i++) {
      seed[i] = 1_000_000L + i;
    }
    cache.seed(seed);
    for (int i = 0; i < 20_000; i++) {
      check(cache, i);
    }
    long before = cache.statistics().misses();
    check(cache, seed);
    long lost = cache.statistics().misses() - before;
    assertTrue(lost < 20, lost + " seeded rows are gone");
  }

  @Test
  void manyThreadsGetTheirOwnRows() throws InterruptedException {
    RowCache cache = cache(100);
    AtomicReference<Throwable> failed = new AtomicReference<>();
    List<Thread> threads = new ArrayList<>();
    for (int t = 0; t < 6; t++) {
      SplittableRandom random = new SplittableRandom(t);
      threads.add(
          Thread.ofPlatform()
              .start(() -> {
                try {
                  for (int i = 0; i < 3000; i++) {
                    check(cache, random.longs(24, 0, 400).toArray());
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
