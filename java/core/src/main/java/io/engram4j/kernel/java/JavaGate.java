package io.engram4j.kernel.java;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import io.engram4j.format.Bfloat16;
import io.engram4j.model.Dtype;
import io.engram4j.model.HiddenStream;
import io.engram4j.weights.GateWeights;
import io.engram4j.weights.GateWeights.ZeroRule;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * The gate in plain Java (docs/spec.md, section 7): RMSNorm of stream and key, their dot product,
 * signed root, sigmoid. Sums run in double, in ascending order, so that this path can serve as the
 * truth that float32 kernels are measured against; what enters the stream is float32 arithmetic.
 */
public final class JavaGate {
  private static final double FLOOR = 1e-6;

  private JavaGate() {}

  /**
   * Computes the gates, and adds gate * value to the stream or writes it apart. Tokens whose mask
   * is zero keep their stream bit for bit and get gate 0.
   *
   * @param kv float32 [tokens, (branches + 1) * hiddenSize]: a key per branch, then the value
   * @param mask int8 [tokens]
   * @param gates float32 [tokens, branches], written
   * @param gated float32 [tokens, branches * hiddenSize], written; or null to update the stream
   */
  public static void gate(
      GateWeights weights,
      MemorySegment kv,
      HiddenStream hidden,
      MemorySegment mask,
      long tokens,
      MemorySegment gates,
      @Nullable MemorySegment gated) {
    int branches = weights.branches();
    float[] stream = new float[weights.hiddenSize()];
    for (long token = 0; token < tokens; token++) {
      boolean live = mask.get(JAVA_BYTE, token) != 0;
      for (int branch = 0; branch < branches; branch++) {
        long key = 4L * weights.hiddenSize() * (token * (branches + 1) + branch);
        long at = hidden.at(token, branch);
        float gate = 0;
        if (live) {
          take(hidden, at, stream);
          gate = compute(weights, branch, kv, key, stream);
        }
        gates.setAtIndex(JAVA_FLOAT_UNALIGNED, token * branches + branch, gate);
        if (gated != null) {
          write(weights, kv, token, branch, gate, live, gated);
        } else if (live) {
          long value = valueAt(weights, token);
          for (int i = 0; i < stream.length; i++) {
            stream[i] += gate * kv.get(JAVA_FLOAT_UNALIGNED, value + 4L * i);
          }
          give(stream, hidden, at);
        }
      }
    }
  }

  /**
   * A branch of a stream as floats. Each type has a loop of its own: asked in the loops of sums,
   * the JIT bet on one type, and a JVM that saw both took four times as long from then on.
   */
  private static void take(HiddenStream hidden, long at, float[] to) {
    MemorySegment data = hidden.data();
    if (hidden.dtype() == Dtype.F32) {
      MemorySegment.copy(data, JAVA_FLOAT_UNALIGNED, at, to, 0, to.length);
      return;
    }
    for (int i = 0; i < to.length; i++) {
      to[i] = Bfloat16.toFloat(data.get(JAVA_SHORT_UNALIGNED, at + 2L * i));
    }
  }

  private static void give(float[] from, HiddenStream hidden, long at) {
    MemorySegment data = hidden.data();
    if (hidden.dtype() == Dtype.F32) {
      MemorySegment.copy(from, 0, data, JAVA_FLOAT_UNALIGNED, at, from.length);
      return;
    }
    for (int i = 0; i < from.length; i++) {
      data.set(JAVA_SHORT_UNALIGNED, at + 2L * i, Bfloat16.fromFloat(from[i]));
    }
  }

  private static void write(
      GateWeights weights,
      MemorySegment kv,
      long token,
      int branch,
      float gate,
      boolean live,
      MemorySegment gated) {
    int size = weights.hiddenSize();
    long value = valueAt(weights, token);
    long at = 4L * size * (token * weights.branches() + branch);
    for (int i = 0; i < size; i++) {
      float v = live ? gate * kv.get(JAVA_FLOAT_UNALIGNED, value + 4L * i) : 0;
      gated.set(JAVA_FLOAT_UNALIGNED, at + 4L * i, v);
    }
  }

  private static long valueAt(GateWeights weights, long token) {
    return 4L * weights.hiddenSize() * (token * (weights.branches() + 1) + weights.branches());
  }

  /** Returns the gate of one token and branch, whose key begins at a byte of {@code kv}. */
  private static float compute(
      GateWeights weights, int branch, MemorySegment kv, long keyAt, float[] stream) {
    double streamSquares = 0;
    double keySquares = 0;
    double dot = 0;
    for (int i = 0; i < stream.length; i++) {
      double x = stream[i];
      double key = kv.get(JAVA_FLOAT_UNALIGNED, keyAt + 4L * i);
      streamSquares += x * x;
      keySquares += key * key;
      dot += x * weights.product(branch, i) * key;
    }
    return fromSums(weights, streamSquares, keySquares, dot);
  }

  /**
   * Returns the gate from its sums over the elements of a branch.
   *
   * @param streamSquares of the stream's squares
   * @param keySquares of the key's squares
   * @param dot of the products of stream, key and weights
   */
  public static float fromSums(
      GateWeights weights, double streamSquares, double keySquares, double dot) {
    int size = weights.hiddenSize();
    double eps = weights.eps();
    // two roots, not one of the product: both means can be as small as eps, 1e-20
    double norms = Math.sqrt(streamSquares / size + eps) * Math.sqrt(keySquares / size + eps);
    return sigmoid(signedRoot(dot / norms / Math.sqrt(size), weights.zeroRule()));
  }

  private static double signedRoot(double dot, ZeroRule rule) {
    if (dot == 0 && rule == ZeroRule.SIGNUM) {
      return 0;
    }
    return Math.copySign(Math.sqrt(Math.max(Math.abs(dot), FLOOR)), dot);
  }

  private static float sigmoid(double x) {
    return (float) (1 / (1 + Math.exp(-x)));
  }
}
