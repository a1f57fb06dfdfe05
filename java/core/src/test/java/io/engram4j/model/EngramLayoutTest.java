package io.engram4j.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.TestModels;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The published layouts (docs/spec.md, sections 3 and 4). */
class EngramLayoutTest {
  @Test
  void primesAndOffsetsOfV41() {
    List<LayerLayout> layouts = EngramLayout.of(TestModels.v41Flash(), 99092);
    LayerLayout first = layouts.get(0);
    LayerLayout second = layouts.get(1);
    assertEquals(384_006_168, first.rows());
    assertEquals(384_016_682, second.rows());
    assertEquals(24, first.columns());
    assertEquals(16000057, first.prime(0));
    assertEquals(16000463, first.prime(23));
    assertEquals(16000477, second.prime(0));
    assertEquals(16000889, second.prime(23));
    assertEquals(0, first.offset(0));
    assertEquals(128000880, first.offset(8));
    assertEquals(368005705, first.offset(23));
    assertEquals(368015793, second.offset(23));
    assertEquals(2, first.order(7));
    assertEquals(3, first.order(8));
    assertEquals(4, first.order(23));
  }

  @Test
  void multipliersOfV41() {
    List<LayerLayout> layouts = EngramLayout.of(TestModels.v41Flash(), 99092);
    assertArrayEquals(
        new long[] {76632096046245L, 4839876093313L, 35959672319349L, 73987337458391L},
        IntStream.range(0, 4).mapToLong(layouts.get(0)::multiplier).toArray());
    assertArrayEquals(
        new long[] {67716810739261L, 51510806800915L, 30921347202721L, 82619226485591L},
        IntStream.range(0, 4).mapToLong(layouts.get(1)::multiplier).toArray());
  }

  @Test
  void primesOfThePapersDemo() {
    List<long[]> primes = EngramLayout.primes(TestModels.paperDemo());
    assertEquals(10_344_164, Arrays.stream(primes.get(0)).sum());
    assertEquals(10_348_242, Arrays.stream(primes.get(1)).sum());
    assertEquals(646403, primes.get(0)[0]);
    assertEquals(646879, primes.get(1)[15]);
  }

  /** As the reference searches: every time from the start, over what is taken. */
  private static List<long[]> oneByOne(EngramConfig config) {
    Set<Long> seen = new HashSet<>();
    List<long[]> all = new ArrayList<>();
    for (int layer = 0; layer < config.layerIds().size(); layer++) {
      long[] primes = new long[config.columns()];
      for (int column = 0; column < primes.length; column++) {
        long prime = config.vocabSizes().get(column / config.headsPerNgram()) - 1;
        do {
          prime = Primes.after(prime);
        } while (!seen.add(prime));
        primes[column] = prime;
      }
      all.add(primes);
    }
    return all;
  }

  private static EngramConfig config(List<Integer> layers, List<Long> sizes, int heads) {
    return EngramConfig.builder()
        .hiddenSize(8)
        .branches(1)
        .layerIds(layers)
        .ngrams(sizes.size() + 1, sizes)
        .heads(heads, 8)
        .build();
  }

  @Test
  void theSearchFindsWhatTheReferencesFinds() {
    SplittableRandom random = new SplittableRandom(3);
    for (int round = 0; round < 300; round++) {
      List<Long> sizes =
          random.longs(random.nextInt(1, 6), 5, 5 + random.nextInt(1, 3000)).boxed().toList();
      EngramConfig config = config(List.of(0, 3, 4), sizes, random.nextInt(1, 12));
      List<long[]> expected = oneByOne(config);
      List<long[]> actual = EngramLayout.primes(config);
      for (int layer = 0; layer < 3; layer++) {
        assertArrayEquals(expected.get(layer), actual.get(layer), "sizes " + sizes);
      }
    }
  }

  /** A file of 6 kB must not take minutes: here one by one are 2 * 10^9 steps. */
  @Test
  void manyOrdersFromNeighbouringSizesAreSoonDone() {
    List<Long> sizes = LongStream.range(0, 63).map(i -> 2_000_000_000L + i).boxed().toList();
    EngramConfig config = config(List.of(1), sizes, 1040);
    List<long[]> primes =
        assertTimeoutPreemptively(Duration.ofSeconds(30), () -> EngramLayout.primes(config));
    assertEquals(65_520, Arrays.stream(primes.getFirst()).distinct().count());
  }

  @Test
  void ordersWithOverlappingRangesShareNoPrime() {
    EngramConfig config = TestModels.v41(8, 2, List.of(0, 3), 4, List.of(11L, 13L, 11L), 5, 4);
    long[] all = EngramLayout.primes(config).stream().flatMapToLong(Arrays::stream).toArray();
    assertEquals(all.length, Arrays.stream(all).distinct().count());
    assertTrue(Arrays.stream(all).allMatch(Primes::isPrime));
  }

  @ParameterizedTest
  @CsvSource({
    "1, 2",
    "2, 3",
    "3, 5",
    "13, 17",
    "14, 17",
    "15999999, 16000057",
    "4294967278, 4294967279"
  })
  void nextPrime(long after, long prime) {
    assertEquals(prime, Primes.after(after));
  }

  @Test
  void primesUpTo100000AreThoseOfASieve() {
    boolean[] composite = new boolean[100_000];
    for (int i = 2; i < composite.length; i++) {
      assertEquals(!composite[i], Primes.isPrime(i), "" + i);
      for (long j = (long) i * i; j < composite.length; j += i) {
        composite[(int) j] = true;
      }
    }
  }

  @Test
  void refusesSizesThatNumpyDrawsInAnotherWay() {
    EngramConfig config = TestModels.v41Flash();
    assertThrows(IllegalArgumentException.class, () -> EngramLayout.of(config, 0));
    assertThrows(IllegalArgumentException.class, () -> EngramLayout.of(config, 1 << 30));
    assertThrows(IllegalArgumentException.class, () -> Primes.after((1L << 32) - 2));
  }

  @ParameterizedTest
  @CsvSource({
    "0, 4, 4, 8, hidden size is 0",
    "8, 0, 4, 8, branches is 0",
    "8, 4, 1, 8, max n-gram is 1",
    "8, 4, 4, 0, heads per n-gram is 0",
    "8, 4, 4, -8, heads per n-gram is -8"
  })
  void refusesImpossibleConfigurations(
      int hidden, int branches, int maxNgram, int heads, String reason) {
    List<Long> sizes = java.util.Collections.nCopies(Math.max(0, maxNgram - 1), 100L);
    IllegalArgumentException e =
        assertThrows(
            IllegalArgumentException.class,
            () -> TestModels.v41(hidden, branches, List.of(1), maxNgram, sizes, heads, 8));
    assertTrue(String.valueOf(e.getMessage()).startsWith(reason), e.getMessage());
  }

  @Test
  void refusesLayersThatStandTwiceAndNormsThatAreNoNumber() {
    List<Long> sizes = List.of(100L);
    assertThrows(
        IllegalArgumentException.class, () -> TestModels.v41(8, 4, List.of(1, 1), 2, sizes, 2, 8));
    for (double eps : new double[] {Double.NaN, 0, -1, Double.POSITIVE_INFINITY}) {
      assertThrows(
          IllegalArgumentException.class,
          () ->
              EngramConfig.builder()
                  .hiddenSize(8)
                  .branches(4)
                  .layerIds(List.of(1))
                  .ngrams(2, sizes)
                  .heads(2, 8)
                  .normEps(eps)
                  .build());
    }
  }
}
