package io.engram4j.examples.floats;

import java.util.SplittableRandom;
import java.util.stream.IntStream;

/**
 * Chooses tokens by temperature and top-p. The chance of a position is drawn from the seed and the
 * position alone, so that a text does not depend on how its tokens were computed.
 *
 * @param temperature 0 for the likeliest token
 * @param topP share of the probability that is considered, of the likeliest first
 */
record Sampler(double temperature, double topP, long seed) {
  /** Always the likeliest token. */
  static final Sampler GREEDY = new Sampler(0, 1, 0);

  int choose(float[] logits, int position) {
    int best = best(logits);
    if (temperature == 0) {
      return best;
    }
    double[] weights = new double[logits.length];
    double sum = 0;
    for (int i = 0; i < weights.length; i++) {
      weights[i] = Math.exp((logits[i] - logits[best]) / temperature);
      sum += weights[i];
    }
    int[] order =
        IntStream.range(0, weights.length)
            .boxed()
            .sorted((a, b) -> Double.compare(weights[b], weights[a]))
            .mapToInt(Integer::intValue)
            .toArray();
    double chance = new SplittableRandom(seed * 31 + position).nextDouble() * topP * sum;
    for (int id : order) {
      chance -= weights[id];
      if (chance < 0) {
        return id;
      }
    }
    return best;
  }

  private static int best(float[] logits) {
    int best = 0;
    for (int i = 1; i < logits.length; i++) {
      best = logits[i] > logits[best] ? i : best;
    }
    return best;
  }
}
