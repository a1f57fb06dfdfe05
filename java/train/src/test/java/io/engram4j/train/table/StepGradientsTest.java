package io.engram4j.train.table;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** The sums of row gradients, against sums in double. */
class StepGradientsTest {
  private static final int TOKENS = 200;
  private static final int COLUMNS = 3;
  private static final int WIDTH = 8;

  /** The largest error of a sum, beside the largest sum; counts rows that several tokens name. */
  private static double worst(boolean duplicatesAddedOnce, int touching, int[] shared) {
    double worst = 0;
    for (int seed = 0; seed < 20; seed++) {
      SplittableRandom random = new SplittableRandom(seed);
      long[] ids = new long[TOKENS * COLUMNS];
      float[] gradients = new float[ids.length * WIDTH];
      boolean[] live = new boolean[TOKENS];
      for (int i = 0; i < ids.length; i++) {
        // columns have rows of their own
        ids[i] = 1_000L * (i % COLUMNS) + random.nextInt(60);
      }
      for (int i = 0; i < gradients.length; i++) {
        gradients[i] = (float) random.nextGaussian();
      }
      for (int i = 0; i < TOKENS; i++) {
        live[i] = random.nextInt(9) > 0;
      }
      StepGradients sums = new StepGradients(TOKENS, COLUMNS, WIDTH);
      sums.put(0, TOKENS, duplicatesAddedOnce ? firstOnly(ids, live) : ids, live, gradients);
      double most = 0;
      double error = 0;
      for (int column = 0; column < COLUMNS; column++) {
        Map<Long, double[]> exact = exact(ids, gradients, live, column, touching, shared);
        sums.addUp(column, touching);
        assertEquals(exact.size(), sums.sums(column).size());
        for (int i = 0; i < sums.sums(column).size(); i++) {
          double[] expected = exact.getOrDefault(sums.sums(column).row(i), new double[WIDTH]);
          float[] sum = sums.sums(column).sum(i);
          for (int j = 0; j < WIDTH; j++) {
            most = Math.max(most, Math.abs(expected[j]));
            error = Math.max(error, Math.abs(expected[j] - sum[j]));
          }
        }
      }
      worst = Math.max(worst, error / most);
    }
    return worst;
  }

  /** What a sum sees that forgets a row's later tokens. */
  private static long[] firstOnly(long[] ids, boolean[] live) {
    long[] some = ids.clone();
    Set<Long> seen = new HashSet<>();
    for (int i = 0; i < some.length; i++) {
      if (live[i / COLUMNS] && !seen.add(some[i])) {
        some[i] = -1;
      }
    }
    return some;
  }

  private static Map<Long, double[]> exact(
      long[] ids, float[] gradients, boolean[] live, int column, int touching, int[] shared) {
    Map<Long, double[]> sums = new HashMap<>();
    for (int token = 0; token < TOKENS; token++) {
      int place = token * COLUMNS + column;
      if (!live[token] || (token >= touching && !sums.containsKey(ids[place]))) {
        continue;
      }
      if (sums.containsKey(ids[place])) {
        shared[0]++;
      }
      double[] sum = sums.computeIfAbsent(ids[place], any -> new double[WIDTH]);
      for (int j = 0; j < WIDTH; j++) {
        sum[j] += gradients[place * WIDTH + j];
      }
    }
    return sums;
  }

  @Test
  void aRowOfManyTokensHasTheSumOfTheirs() {
    int[] shared = new int[1];
    double worst = worst(false, TOKENS, shared);
    assertTrue(worst < 2e-5, "worst " + worst);
    assertTrue(shared[0] > 5000, shared[0] + " repetitions");
    assertTrue(worst(false, TOKENS / 2, shared) < 2e-5);
  }

  @Test
  void duplicatesAddedOnceAreSeen() {
    double worst = worst(true, TOKENS, new int[1]);
    assertTrue(worst > 2e-5, "worst " + worst);
  }
}
