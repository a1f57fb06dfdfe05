package io.engram4j.train.kernel;

import io.engram4j.weights.GateWeights.ZeroRule;
import java.util.Arrays;

/**
 * The gate forward and back (docs/spec.md, section 7). Sums run in double, in ascending order.
 *
 * <p>Per token and branch, with u = sum(x w key), rx and rk the reciprocal norms and c = 1 /
 * sqrt(D): s = c rx rk u, gate = sigmoid(copysign(sqrt(max(|s|, 1e-6)), s)). Immutable and
 * thread-safe.
 *
 * @param branches of the stream
 * @param size elements of a branch
 * @param eps of both norms
 * @param zeroRule what a dot product of zero means
 */
public record GateStage(int branches, int size, float eps, ZeroRule zeroRule) {
  /** Below it the root is constant, and nothing learns through it. */
  private static final double FLOOR = 1e-6;

  /** Numbers that {@link #forward} keeps for each token and branch: s and the two norms. */
  public static final int KEPT = 3;

  /**
   * Computes gates, and gate * value.
   *
   * @param query [branches, size], weight of the stream
   * @param key [branches, size], weight of the key
   * @param stream [tokens, branches * size]
   * @param kv [tokens, (branches + 1) * size]: a key per branch, then the value
   * @param live [tokens]; where it is false the gate is 0, and nothing is let through
   * @param gates [tokens, branches], written
   * @param gated [tokens, branches * size], written
   * @param kept [tokens, branches, {@value #KEPT}], written, for {@link #backward}
   */
  public void forward(
      float[] query,
      float[] key,
      float[] stream,
      float[] kv,
      boolean[] live,
      int tokens,
      float[] gates,
      float[] gated,
      double[] kept) {
    double c = 1 / Math.sqrt(size);
    for (int token = 0; token < tokens; token++) {
      int value = (token * (branches + 1) + branches) * size;
      for (int branch = 0; branch < branches; branch++) {
        int unit = token * branches + branch;
        int at = unit * size;
        if (!live[token]) {
          gates[unit] = 0;
          Arrays.fill(gated, at, at + size, 0f);
          continue;
        }
        int keyAt = (token * (branches + 1) + branch) * size;
        int weight = branch * size;
        double streamSquares = 0;
        double keySquares = 0;
        double dot = 0;
        for (int i = 0; i < size; i++) {
          double x = stream[at + i];
          double k = kv[keyAt + i];
          streamSquares += x * x;
          keySquares += k * k;
          dot += x * (query[weight + i] * key[weight + i]) * k;
        }
        double rx = 1 / Math.sqrt(streamSquares / size + eps);
        double rk = 1 / Math.sqrt(keySquares / size + eps);
        double s = c * rx * rk * dot;
        kept[unit * KEPT] = s;
        kept[unit * KEPT + 1] = rx;
        kept[unit * KEPT + 2] = rk;
        float gate = (float) sigmoid(root(s));
        gates[unit] = gate;
        for (int i = 0; i < size; i++) {
          gated[at + i] = gate * kv[value + i];
        }
      }
    }
  }

  private double root(double s) {
    if (s == 0 && zeroRule == ZeroRule.SIGNUM) {
      return 0;
    }
    return Math.copySign(Math.sqrt(Math.max(Math.abs(s), FLOOR)), s);
  }

  private static double sigmoid(double x) {
    return 1 / (1 + StrictMath.exp(-x));
  }

  /**
   * Takes the gradient back to the stream, keys, values and weights.
   *
   * @param dgated [tokens, branches * size], of what {@code forward} let through
   * @param dstream [tokens, branches * size], added to; may be the same array as {@code dgated}
   * @param dkv [tokens, (branches + 1) * size], written: zeros where a token is not live
   * @param queryAt where the gradient of the stream's weight, [branches, size], begins in {@code
   *     gradients}; added to
   * @param keyAt likewise, of the key's
   */
  public void backward(
      float[] query,
      float[] key,
      float[] stream,
      float[] kv,
      boolean[] live,
      int tokens,
      float[] gates,
      double[] kept,
      float[] dgated,
      float[] dstream,
      float[] dkv,
      float[] gradients,
      int queryAt,
      int keyAt) {
    Arrays.fill(dkv, 0, tokens * (branches + 1) * size, 0f);
    double c = 1 / Math.sqrt(size);
    for (int token = 0; token < tokens; token++) {
      if (!live[token]) {
        continue;
      }
      int value = (token * (branches + 1) + branches) * size;
      for (int branch = 0; branch < branches; branch++) {
        int unit = token * branches + branch;
        int at = unit * size;
        double a = gates[unit];
        double da = 0;
        for (int i = 0; i < size; i++) {
          float d = dgated[at + i];
          da += (double) d * kv[value + i];
          dkv[value + i] += gates[unit] * d; // every branch lets the one value through
        }
        double s = kept[unit * KEPT];
        if (!(Math.abs(s) > FLOOR)) {
          continue; // the clamp: the gate does not move with s
        }
        double ds = da * a * (1 - a) / (2 * Math.sqrt(Math.abs(s)));
        back(
            query,
            key,
            stream,
            kv,
            at,
            (token * (branches + 1) + branch) * size,
            branch * size,
            ds,
            s,
            c,
            kept[unit * KEPT + 1],
            kept[unit * KEPT + 2],
            dstream,
            dkv,
            gradients,
            queryAt,
            keyAt);
      }
    }
  }

  /** From ds of one token and branch to what s was made of. */
  private void back(
      float[] query,
      float[] key,
      float[] stream,
      float[] kv,
      int at,
      int kvAt,
      int weight,
      double ds,
      double s,
      double c,
      double rx,
      double rk,
      float[] dstream,
      float[] dkv,
      float[] gradients,
      int queryAt,
      int keyAt) {
    double product = ds * c * rx * rk;
    double xNorm = ds * s * rx * rx / size;
    double kNorm = ds * s * rk * rk / size;
    for (int i = 0; i < size; i++) {
      double x = stream[at + i];
      double k = kv[kvAt + i];
      float q = query[weight + i];
      float w = key[weight + i];
      dstream[at + i] += (float) (product * (q * w) * k - xNorm * x);
      dkv[kvAt + i] += (float) (product * (q * w) * x - kNorm * k);
      double dw = product * x * k;
      gradients[queryAt + weight + i] += (float) (dw * w);
      gradients[keyAt + weight + i] += (float) (dw * q);
    }
  }
}
