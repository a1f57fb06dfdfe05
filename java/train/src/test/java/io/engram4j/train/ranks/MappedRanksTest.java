package io.engram4j.train.ranks;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MappedRanksTest {
  private static final Duration PATIENCE = Duration.ofSeconds(20);

  @TempDir private Path directory;

  /** What a rank does. */
  public interface Work<T> {
    T run(Ranks ranks) throws Exception;
  }

  /** Runs ranks as threads of this process, and returns what each returned. */
  public static <T> List<T> together(Path directory, int size, Work<T> work) {
    List<T> results = new ArrayList<>();
    try (ExecutorService threads = Executors.newCachedThreadPool()) {
      List<Future<T>> futures = new ArrayList<>();
      for (int i = 0; i < size; i++) {
        int rank = i;
        Callable<T> task =
            () -> {
              try (Ranks ranks = MappedRanks.join(directory, rank, size, PATIENCE)) {
                return work.run(ranks);
              }
            };
        futures.add(threads.submit(task));
      }
      for (Future<T> future : futures) {
        results.add(future.get());
      }
    } catch (ExecutionException | InterruptedException e) {
      throw new IllegalStateException(e.getCause() == null ? e : e.getCause());
    }
    return results;
  }

  /** What rank {@code from} sends {@code to} in a round. */
  private static byte[] part(int round, int from, int to) {
    SplittableRandom random = new SplittableRandom(round * 1_000_003L + from * 1009L + to);
    int most = 4 << random.nextInt(1 + round % 16); // small ones after large ones too
    byte[] bytes = new byte[random.nextInt(most) / 4 * 4];
    random.nextBytes(bytes);
    return bytes;
  }

  private static long exchanges(Ranks ranks, int rounds) {
    long sum = 0;
    SplittableRandom slow = new SplittableRandom(ranks.rank());
    for (int round = 0; round < rounds; round++) {
      try (Arena arena = Arena.ofConfined()) {
        long[] at = new long[ranks.size()];
        long[] bytes = new long[ranks.size()];
        MemorySegment send = arena.allocate(1 << 19);
        long end = 0;
        for (int to = 0; to < ranks.size(); to++) {
          byte[] part = part(round, ranks.rank(), to);
          at[to] = end;
          bytes[to] = part.length;
          MemorySegment.copy(part, 0, send, ValueLayout.JAVA_BYTE, end, part.length);
          end += part.length;
        }
        List<MemorySegment> received = ranks.exchange(send, at, bytes);
        if (slow.nextInt(20) == 0) {
          Thread.sleep(1); // others are in the next exchange by now
        }
        for (int from = 0; from < ranks.size(); from++) {
          byte[] expected = part(round, from, ranks.rank());
          assertArrayEquals(expected, received.get(from).toArray(ValueLayout.JAVA_BYTE));
          sum += expected.length;
        }
      } catch (InterruptedException e) {
        throw new IllegalStateException(e);
      }
    }
    return sum;
  }

  @Test
  void partsOfAllSizesArrive() {
    for (int size : new int[] {1, 2, 3, 5}) {
      List<Long> bytes = together(directory, size, ranks -> exchanges(ranks, 300));
      assertTrue(bytes.stream().allMatch(each -> each > 100_000), "" + bytes);
    }
  }

  @Test
  void sumsAreTheSameBitsEverywhereAndInTheOrderOfRanks() {
    List<float[]> sums =
        together(
            directory,
            4,
            ranks -> {
              try (Reduction reduction = new Reduction(ranks)) {
                float[] values = new float[1003];
                for (int i = 0; i < values.length; i++) {
                  values[i] = 1f / (1 + i * 7 + ranks.rank());
                }
                for (int round = 0; round < 20; round++) {
                  float[] all = values.clone();
                  reduction.sum(all);
                  if (round == 19) {
                    assertEquals(6, reduction.sum((double) ranks.rank())[0]);
                    assertEquals(33, reduction.max(30 + ranks.rank()));
                    reduction.requireSame("the same");
                    return all;
                  }
                }
                throw new AssertionError();
              }
            });
    for (int i = 0; i < 1003; i++) {
      float expected = 0;
      for (int rank = 0; rank < 4; rank++) {
        expected += 1f / (1 + i * 7 + rank);
      }
      for (float[] each : sums) {
        assertEquals(expected, each[i]);
      }
    }
  }

  @Test
  void oneThatFailsStopsAll() {
    List<String> said =
        together(
            directory,
            3,
            ranks -> {
              try (Reduction reduction = new Reduction(ranks)) {
                IllegalArgumentException own = new IllegalArgumentException("too large");
                Throwable mine = ranks.rank() == 1 ? own : null;
                return assertThrows(RuntimeException.class, () -> reduction.requireNone(mine))
                    .toString();
              }
            });
    assertTrue(said.get(1).endsWith("too large"), said.get(1));
    assertTrue(said.get(0).contains("rank 1") && said.get(0).contains("too large"), said.get(0));
    assertEquals(said.get(0), said.get(2));
    assertThrows(
        IllegalStateException.class,
        () ->
            together(
                directory,
                2,
                ranks -> {
                  try (Reduction reduction = new Reduction(ranks)) {
                    reduction.requireSame("seed " + ranks.rank());
                    return 0;
                  }
                }));
  }

  @Test
  void oneThatLeavesIsNoticed() {
    List<String> said =
        together(
            directory,
            2,
            ranks -> {
              if (ranks.rank() == 1) {
                ranks.close();
                return "";
              }
              return assertThrows(IllegalStateException.class, () -> exchanges(ranks, 1))
                  .toString();
            });
    assertTrue(said.getFirst().endsWith("rank 1 has left or died"), said.getFirst());
  }

  @Test
  void whatCannotBeJoinedIsRefused() throws IOException {
    Duration none = Duration.ofMillis(50);
    assertThrows(IllegalArgumentException.class, () -> MappedRanks.join(directory, 2, 2, PATIENCE));
    String alone =
        assertThrows(IllegalStateException.class, () -> MappedRanks.join(directory, 0, 2, none))
            .toString();
    assertTrue(alone.contains("only 1 came"), alone);
    String first =
        assertThrows(IllegalStateException.class, () -> MappedRanks.join(directory, 1, 2, none))
            .toString();
    assertTrue(first.contains("rank 0 did not come"), first);
    try (Ranks ranks = MappedRanks.join(directory, 0, 1, PATIENCE)) {
      assertEquals(1, ranks.size());
      for (int rank = 0; rank < 2; rank++) {
        int again = rank;
        assertThrows(
            IllegalStateException.class, () -> MappedRanks.join(directory, again, 2, none));
      }
    }
    Files.write(directory.resolve("ranks.bin"), new byte[4096]);
    assertThrows(IOException.class, () -> MappedRanks.join(directory, 0, 1, PATIENCE));
  }
}
