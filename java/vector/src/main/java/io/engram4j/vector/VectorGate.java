package io.engram4j.vector;

import static io.engram4j.vector.Vectors.ALL;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import io.engram4j.backend.Backend;
import io.engram4j.format.Dtype;
import io.engram4j.gate.GateWeights;
import io.engram4j.gate.HiddenStream;
import io.engram4j.gate.JavaGate;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import org.jspecify.annotations.Nullable;

/**
 * The gate of float32 streams. As in C, lanes add some products in float and go on in double, and
 * what is not exact enough that way (dot products near zero, numbers at the ends of float) is
 * summed by plain Java. Streams of bf16 and the paper's gated values are plain Java's; streams on
 * the heap are copied.
 */
final class VectorGate implements Backend.Gate {
  /** Vectors that are added in float before they go on in double. */
  private static final int GROUP = 16;

  /** A dot product of normed streams and keys below which float sums are not good enough. */
  private static final double SMALL_DOT = 0.01;

  private static final double LEAST = 0x1p-60;
  private static final double MOST = 0x1p120;

  private final GateWeights weights;
  private final Backend.Gate plain;
  private final MemorySegment product;

  VectorGate(GateWeights weights, Backend plain) {
    this.weights = weights;
    this.plain = plain.gate(weights);
    int size = weights.hiddenSize();
    this.product = Arena.ofAuto().allocate(4L * weights.branches() * size, 64);
    for (int i = 0; i < weights.branches() * size; i++) {
      product.setAtIndex(JAVA_FLOAT_UNALIGNED, i, weights.product(i / size, i % size));
    }
  }

  @Override
  public void update(
      MemorySegment kv, HiddenStream hidden, MemorySegment mask, long tokens, MemorySegment gates) {
    boolean fits = weights.hiddenSize() % Vectors.LANES == 0 && kv.isNative();
    if (!fits || hidden.dtype() != Dtype.F32) {
      plain.update(kv, hidden, mask, tokens, gates);
    } else if (hidden.data().isNative()) {
      each(kv, hidden, mask, tokens, gates, null);
    } else {
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment scratch = arena.allocate(4L * weights.hiddenSize(), 64);
        each(kv, hidden, mask, tokens, gates, scratch);
      }
    }
  }

  @Override
  public void values(
      MemorySegment kv,
      HiddenStream hidden,
      MemorySegment mask,
      long tokens,
      MemorySegment gates,
      MemorySegment gated) {
    plain.values(kv, hidden, mask, tokens, gates, gated);
  }

  /** All tokens and branches; a stream on the heap goes through the scratch, branch by branch. */
  private void each(
      MemorySegment kv,
      HiddenStream hidden,
      MemorySegment mask,
      long tokens,
      MemorySegment gates,
      @Nullable MemorySegment scratch) {
    int size = weights.hiddenSize();
    int branches = weights.branches();
    double[] lanes = new double[Vectors.D.length()];
    try {
      for (long token = 0; token < tokens; token++) {
        boolean live = mask.get(JAVA_BYTE, token) != 0;
        long keys = 4L * size * (branches + 1) * token;
        for (int branch = 0; branch < branches; branch++) {
          float gate = 0;
          if (live) {
            long key = keys + 4L * size * branch;
            long value = keys + 4L * size * branches;
            gate = one(kv, key, value, hidden, hidden.at(token, branch), branch, scratch, lanes);
          }
          gates.setAtIndex(JAVA_FLOAT_UNALIGNED, token * branches + branch, gate);
        }
      }
    } finally {
      Reference.reachabilityFence(kv);
      Reference.reachabilityFence(hidden.data());
      Reference.reachabilityFence(product);
    }
  }

  private float one(
      MemorySegment kv,
      long key,
      long value,
      HiddenStream hidden,
      long at,
      int branch,
      @Nullable MemorySegment scratch,
      double[] lanes) {
    int size = weights.hiddenSize();
    long keysAndValues = Vectors.address(kv, "key and value");
    long stream = Vectors.address(hidden.data(), "the hidden stream") + at;
    if (scratch != null) {
      MemorySegment.copy(hidden.data(), at, scratch, 0, 4L * size);
      stream = scratch.address();
    }
    long weight = product.address() + 4L * size * branch;
    float gate = quick(weights, stream, keysAndValues + key, weight, lanes);
    if (Float.isNaN(gate)) { // or not good enough
      gate = JavaGate.compute(weights, branch, kv, key, hidden, at);
    }
    add(stream, keysAndValues + value, gate, size);
    if (scratch != null) {
      MemorySegment.copy(scratch, 0, hidden.data(), at, 4L * size);
    }
    return gate;
  }

  /** Returns the gate, or NaN where float sums are not good enough for one. */
  private static float quick(
      GateWeights weights, long stream, long key, long product, double[] lanes) {
    int step = Vectors.LANES;
    int size = weights.hiddenSize();
    DoubleVector streams = DoubleVector.zero(Vectors.D);
    DoubleVector keys = DoubleVector.zero(Vectors.D);
    DoubleVector dots = DoubleVector.zero(Vectors.D);
    for (int from = 0; from < size; from += GROUP * step) {
      FloatVector s = FloatVector.zero(Vectors.F);
      FloatVector k = FloatVector.zero(Vectors.F);
      FloatVector d = FloatVector.zero(Vectors.F);
      int end = Math.min(size, from + GROUP * step);
      for (int i = from; i < end; i += step) {
        FloatVector x =
            FloatVector.fromMemorySegment(Vectors.F, ALL, stream + 4L * i, Vectors.LITTLE);
        FloatVector y = FloatVector.fromMemorySegment(Vectors.F, ALL, key + 4L * i, Vectors.LITTLE);
        FloatVector w =
            FloatVector.fromMemorySegment(Vectors.F, ALL, product + 4L * i, Vectors.LITTLE);
        s = x.fma(x, s);
        k = y.fma(y, k);
        d = x.mul(w).fma(y, d);
      }
      streams =
          streams
              .add(s.convertShape(VectorOperators.F2D, Vectors.D, 0))
              .add(s.convertShape(VectorOperators.F2D, Vectors.D, 1));
      keys =
          keys.add(k.convertShape(VectorOperators.F2D, Vectors.D, 0))
              .add(k.convertShape(VectorOperators.F2D, Vectors.D, 1));
      dots =
          dots.add(d.convertShape(VectorOperators.F2D, Vectors.D, 0))
              .add(d.convertShape(VectorOperators.F2D, Vectors.D, 1));
    }
    double streamSquares = Vectors.sum(streams, lanes);
    double keySquares = Vectors.sum(keys, lanes);
    double dot = Vectors.sum(dots, lanes);
    boolean ordinary =
        streamSquares >= LEAST
            && streamSquares <= MOST
            && keySquares >= LEAST
            && keySquares <= MOST
            && Math.abs(dot) <= MOST
            && dot * dot * size > SMALL_DOT * SMALL_DOT * streamSquares * keySquares;
    return ordinary ? JavaGate.fromSums(weights, streamSquares, keySquares, dot) : Float.NaN;
  }

  private static void add(long stream, long value, float gate, int size) {
    FloatVector g = FloatVector.broadcast(Vectors.F, gate);
    for (int i = 0; i < size; i += Vectors.LANES) {
      FloatVector v = FloatVector.fromMemorySegment(Vectors.F, ALL, value + 4L * i, Vectors.LITTLE);
      FloatVector.fromMemorySegment(Vectors.F, ALL, stream + 4L * i, Vectors.LITTLE)
          .add(v.mul(g))
          .intoMemorySegment(ALL, stream + 4L * i, Vectors.LITTLE);
    }
  }
}
