package io.engram4j.examples.floats;

import java.util.SplittableRandom;

/**
 * A decoder of the Llama family, as small as can be: RMSNorm, rotary positions, attention, SwiGLU.
 * Every token is computed by itself and in the same order, so chunks do not change a bit.
 */
final class Transformer {
  /** Sizes; {@code hidden} is a multiple of {@code 2 * heads}. */
  record Shape(int vocabulary, int hidden, int layers, int heads, int inner) {}

  /** What happens to the hidden states, [tokens, hidden], at the start of each layer. */
  interface LayerStart {
    void run(int layer, float[] hidden, int tokens);
  }

  private static final float EPS = 1e-5f;

  private final Shape shape;
  private final float[] embedding;
  private final float[][] query;
  private final float[][] key;
  private final float[][] value;
  private final float[][] output;
  private final float[][] gate;
  private final float[][] up;
  private final float[][] down;

  private Transformer(Shape shape, SplittableRandom random) {
    this.shape = shape;
    int hidden = shape.hidden();
    this.embedding = matrix(random, shape.vocabulary(), hidden);
    this.query = matrices(random, hidden, hidden);
    this.key = matrices(random, hidden, hidden);
    this.value = matrices(random, hidden, hidden);
    this.output = matrices(random, hidden, hidden);
    this.gate = matrices(random, shape.inner(), hidden);
    this.up = matrices(random, shape.inner(), hidden);
    this.down = matrices(random, hidden, shape.inner());
  }

  /** A model of random weights, the same for the same seed. */
  static Transformer random(Shape shape, long seed) {
    return new Transformer(shape, new SplittableRandom(seed));
  }

  private float[][] matrices(SplittableRandom random, int outputs, int inputs) {
    float[][] made = new float[shape.layers()][];
    for (int layer = 0; layer < made.length; layer++) {
      made[layer] = matrix(random, outputs, inputs);
    }
    return made;
  }

  private static float[] matrix(SplittableRandom random, int outputs, int inputs) {
    float[] made = new float[outputs * inputs];
    for (int i = 0; i < made.length; i++) {
      made[i] = (float) (random.nextGaussian() / Math.sqrt(inputs));
    }
    return made;
  }

  Shape shape() {
    return shape;
  }

  KvCache newCache() {
    return new KvCache(shape.layers(), shape.hidden());
  }

  /**
   * Runs tokens that follow those in the cache.
   *
   * @return logits [tokens][vocabulary]
   */
  float[][] forward(int[] tokens, KvCache cache, LayerStart start) {
    int first = cache.length();
    int hidden = shape.hidden();
    cache.extend(tokens.length);
    float[] stream = new float[tokens.length * hidden];
    for (int token = 0; token < tokens.length; token++) {
      System.arraycopy(embedding, tokens[token] * hidden, stream, token * hidden, hidden);
    }
    for (int layer = 0; layer < shape.layers(); layer++) {
      start.run(layer, stream, tokens.length); // <- Engram
      for (int token = 0; token < tokens.length; token++) {
        attend(layer, stream, token * hidden, first + token, cache);
        feedForward(layer, stream, token * hidden);
      }
    }
    float[][] logits = new float[tokens.length][];
    for (int token = 0; token < tokens.length; token++) {
      logits[token] = times(embedding, shape.vocabulary(), normed(stream, token * hidden));
    }
    return logits;
  }

  private float[] normed(float[] stream, int from) {
    double sum = 0;
    for (int i = 0; i < shape.hidden(); i++) {
      sum += stream[from + i] * stream[from + i];
    }
    float scale = (float) (1 / Math.sqrt(sum / shape.hidden() + EPS));
    float[] out = new float[shape.hidden()];
    for (int i = 0; i < out.length; i++) {
      out[i] = stream[from + i] * scale;
    }
    return out;
  }

  private static float[] times(float[] matrix, int outputs, float[] x) {
    float[] out = new float[outputs];
    for (int row = 0; row < outputs; row++) {
      float sum = 0;
      for (int i = 0; i < x.length; i++) {
        sum += matrix[row * x.length + i] * x[i];
      }
      out[row] = sum;
    }
    return out;
  }

  private void rotate(float[] x, int position) {
    int size = shape.hidden() / shape.heads();
    for (int i = 0; i < x.length; i += 2) {
      double angle = position * Math.pow(10_000, -(double) (i % size) / size);
      float cos = (float) Math.cos(angle);
      float sin = (float) Math.sin(angle);
      float even = x[i];
      x[i] = even * cos - x[i + 1] * sin;
      x[i + 1] = even * sin + x[i + 1] * cos;
    }
  }

  private void attend(int layer, float[] stream, int from, int position, KvCache cache) {
    int hidden = shape.hidden();
    float[] x = normed(stream, from);
    float[] q = times(query[layer], hidden, x);
    float[] k = times(key[layer], hidden, x);
    rotate(q, position);
    rotate(k, position);
    System.arraycopy(k, 0, cache.keys(layer), position * hidden, hidden);
    System.arraycopy(
        times(value[layer], hidden, x), 0, cache.values(layer), position * hidden, hidden);
    float[] mixed = new float[hidden];
    int size = hidden / shape.heads();
    for (int head = 0; head < hidden; head += size) {
      head(q, head, size, position, cache.keys(layer), cache.values(layer), mixed);
    }
    add(stream, from, times(output[layer], hidden, mixed));
  }

  private void head(
      float[] q, int head, int size, int position, float[] keys, float[] values, float[] mixed) {
    double[] weights = new double[position + 1];
    double sum = 0;
    for (int past = 0; past <= position; past++) {
      double dot = 0;
      for (int i = 0; i < size; i++) {
        dot += q[head + i] * keys[past * shape.hidden() + head + i];
      }
      weights[past] = Math.exp(dot / Math.sqrt(size));
      sum += weights[past];
    }
    for (int past = 0; past <= position; past++) {
      float weight = (float) (weights[past] / sum);
      for (int i = 0; i < size; i++) {
        mixed[head + i] += weight * values[past * shape.hidden() + head + i];
      }
    }
  }

  private void feedForward(int layer, float[] stream, int from) {
    float[] x = normed(stream, from);
    float[] gated = times(gate[layer], shape.inner(), x);
    float[] upper = times(up[layer], shape.inner(), x);
    for (int i = 0; i < gated.length; i++) {
      gated[i] = (float) (gated[i] / (1 + Math.exp(-gated[i]))) * upper[i];
    }
    add(stream, from, times(down[layer], shape.hidden(), gated));
  }

  private static void add(float[] stream, int from, float[] delta) {
    for (int i = 0; i < delta.length; i++) {
      stream[from + i] += delta[i];
    }
  }
}
