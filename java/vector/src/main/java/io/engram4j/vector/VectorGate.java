package io.engram4j.vector;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import io.engram4j.kernel.Backend;
import io.engram4j.kernel.java.JavaGate;
import io.engram4j.model.HiddenStream;
import io.engram4j.weights.GateWeights;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import org.jspecify.annotations.Nullable;

/**
 * The gate. As in C, lanes add some products in float and go on in double, and what is not exact
 * enough that way (dot products near zero, numbers at the ends of float) is done again in double.
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

  VectorGate(GateWeights weights, Backend.Gate plain, Arena arena) {
    this.weights = weights;
    this.plain = plain;
    int size = weights.hiddenSize();
    this.product = arena.allocate(4L * weights.branches() * size, 64);
    for (int i = 0; i < weights.branches() * size; i++) {
      product.setAtIndex(JAVA_FLOAT_UNALIGNED, i, weights.product(i / size, i % size));
    }
  }

  @Override
  public void run(
      MemorySegment kv,
      HiddenStream hidden,
      MemorySegment mask,
      long tokens,
      MemorySegment gates,
      @Nullable MemorySegment gated) {
    boolean fits =
        weights.hiddenSize() % Vectors.LANES == 0
            && kv.isNative()
            && (gated == null || gated.isNative());
    int size = weights.hiddenSize();
    if (!fits) {
      plain.run(kv, hidden, mask, tokens, gates, gated);
    } else if (VectorStream.isDirect(hidden)) {
      each(kv, hidden, mask, tokens, gates, gated, VectorStream.direct(hidden, size));
    } else {
      try (Arena arena = Arena.ofConfined()) {
        each(kv, hidden, mask, tokens, gates, gated, VectorStream.copied(hidden, size, arena));
      }
    }
  }

  private void each(
      MemorySegment kv,
      HiddenStream hidden,
      MemorySegment mask,
      long tokens,
      MemorySegment gates,
      @Nullable MemorySegment gated,
      VectorStream stream) {
    long size = 4L * weights.hiddenSize(); // in bytes
    int branches = weights.branches();
    double[] sums = new double[Vectors.D.length()]; // more than three
    for (long token = 0; token < tokens; token++) {
      boolean live = mask.get(JAVA_BYTE, token) != 0;
      long keys = size * (branches + 1) * token;
      long value = keys + size * branches;
      for (int branch = 0; branch < branches; branch++) {
        long own = size * (token * branches + branch);
        float gate = 0;
        if (live) {
          long at = hidden.at(token, branch);
          long from = stream.take(at);
          gate = gate(stream.floats(), from, kv, keys + size * branch, branch, sums);
          if (gated != null) {
            write(kv, value, gate, gated, own, weights.hiddenSize());
          } else {
            add(stream.floats(), from, kv, value, gate, weights.hiddenSize());
            stream.give(at);
          }
        } else if (gated != null) {
          gated.asSlice(own, size).fill((byte) 0);
        }
        gates.setAtIndex(JAVA_FLOAT_UNALIGNED, token * branches + branch, gate);
      }
    }
  }

  private float gate(
      MemorySegment stream, long from, MemorySegment kv, long key, int branch, double[] sums) {
    quick(stream, from, kv, key, branch, sums);
    if (!willDo(sums[0], sums[1], sums[2])) {
      exact(stream, from, kv, key, branch, sums);
    }
    return JavaGate.fromSums(weights, sums[0], sums[1], sums[2]);
  }

  /**
   * Sums by groups in float. Whether they will do is asked elsewhere: the first time that they did
   * not, these loops were compiled anew and took twice as long from then on.
   */
  private void quick(
      MemorySegment hidden, long stream, MemorySegment keys, long key, int branch, double[] sums) {
    MemorySegment xs = Vectors.offHeap(hidden);
    MemorySegment ys = Vectors.offHeap(keys);
    MemorySegment ws = Vectors.offHeap(product);
    int step = Vectors.LANES;
    int size = weights.hiddenSize();
    long weight = 4L * size * branch;
    DoubleVector streams = DoubleVector.zero(Vectors.D);
    DoubleVector keySums = DoubleVector.zero(Vectors.D);
    DoubleVector dots = DoubleVector.zero(Vectors.D);
    for (int from = 0; from < size; from += GROUP * step) {
      FloatVector s = FloatVector.zero(Vectors.F);
      FloatVector k = FloatVector.zero(Vectors.F);
      FloatVector d = FloatVector.zero(Vectors.F);
      int end = Math.min(size, from + GROUP * step);
      for (int i = from; i < end; i += step) {
        FloatVector x =
            FloatVector.fromMemorySegment(Vectors.F, xs, stream + 4L * i, Vectors.LITTLE);
        FloatVector y = FloatVector.fromMemorySegment(Vectors.F, ys, key + 4L * i, Vectors.LITTLE);
        FloatVector w =
            FloatVector.fromMemorySegment(Vectors.F, ws, weight + 4L * i, Vectors.LITTLE);
        s = x.fma(x, s);
        k = y.fma(y, k);
        d = x.mul(w).fma(y, d);
      }
      streams =
          streams
              .add(s.convertShape(VectorOperators.F2D, Vectors.D, 0))
              .add(s.convertShape(VectorOperators.F2D, Vectors.D, 1));
      keySums =
          keySums
              .add(k.convertShape(VectorOperators.F2D, Vectors.D, 0))
              .add(k.convertShape(VectorOperators.F2D, Vectors.D, 1));
      dots =
          dots.add(d.convertShape(VectorOperators.F2D, Vectors.D, 0))
              .add(d.convertShape(VectorOperators.F2D, Vectors.D, 1));
    }
    store(streams, keySums, dots, sums);
  }

  /** Adds the lanes of squares of stream and key and of their dot product. */
  private static void store(
      DoubleVector streams, DoubleVector keys, DoubleVector dots, double[] sums) {
    double streamSquares = Vectors.sum(streams, sums);
    double keySquares = Vectors.sum(keys, sums);
    sums[2] = Vectors.sum(dots, sums);
    sums[1] = keySquares;
    sums[0] = streamSquares;
  }

  /** Whether sums in float are good enough for a gate. */
  private boolean willDo(double streamSquares, double keySquares, double dot) {
    return streamSquares >= LEAST
        && streamSquares <= MOST
        && keySquares >= LEAST
        && keySquares <= MOST
        && Math.abs(dot) <= MOST
        && dot * dot * weights.hiddenSize() > SMALL_DOT * SMALL_DOT * streamSquares * keySquares;
  }

  /**
   * Sums in double, as the truth has them: nothing overflows or vanishes. Not plain Java's, which
   * was compiled anew a hundred times for so few calls.
   */
  private void exact(
      MemorySegment hidden, long stream, MemorySegment keys, long key, int branch, double[] sums) {
    MemorySegment xs = Vectors.offHeap(hidden);
    MemorySegment ys = Vectors.offHeap(keys);
    MemorySegment ws = Vectors.offHeap(product);
    int size = weights.hiddenSize();
    long weight = 4L * size * branch;
    DoubleVector streams = DoubleVector.zero(Vectors.D);
    DoubleVector keySums = DoubleVector.zero(Vectors.D);
    DoubleVector dots = DoubleVector.zero(Vectors.D);
    for (int i = 0; i < size; i += Vectors.LANES) {
      FloatVector x = FloatVector.fromMemorySegment(Vectors.F, xs, stream + 4L * i, Vectors.LITTLE);
      FloatVector y = FloatVector.fromMemorySegment(Vectors.F, ys, key + 4L * i, Vectors.LITTLE);
      FloatVector w = FloatVector.fromMemorySegment(Vectors.F, ws, weight + 4L * i, Vectors.LITTLE);
      DoubleVector x0 = low(x);
      DoubleVector x1 = high(x);
      DoubleVector y0 = low(y);
      DoubleVector y1 = high(y);
      streams = x1.fma(x1, x0.fma(x0, streams));
      keySums = y1.fma(y1, y0.fma(y0, keySums));
      dots = x1.mul(high(w)).fma(y1, x0.mul(low(w)).fma(y0, dots));
    }
    store(streams, keySums, dots, sums);
  }

  /** Seldom called: in {@link #quick} these were not compiled into the loop. */
  private static DoubleVector low(FloatVector floats) {
    return (DoubleVector) floats.convertShape(VectorOperators.F2D, Vectors.D, 0);
  }

  private static DoubleVector high(FloatVector floats) {
    return (DoubleVector) floats.convertShape(VectorOperators.F2D, Vectors.D, 1);
  }

  private static void add(
      MemorySegment hidden, long stream, MemorySegment values, long value, float gate, int size) {
    MemorySegment xs = Vectors.offHeap(hidden);
    MemorySegment vs = Vectors.offHeap(values);
    FloatVector g = FloatVector.broadcast(Vectors.F, gate);
    for (int i = 0; i < size; i += Vectors.LANES) {
      FloatVector v = FloatVector.fromMemorySegment(Vectors.F, vs, value + 4L * i, Vectors.LITTLE);
      FloatVector.fromMemorySegment(Vectors.F, xs, stream + 4L * i, Vectors.LITTLE)
          .add(v.mul(g))
          .intoMemorySegment(xs, stream + 4L * i, Vectors.LITTLE);
    }
  }

  private static void write(
      MemorySegment values, long value, float gate, MemorySegment gated, long to, int size) {
    MemorySegment vs = Vectors.offHeap(values);
    MemorySegment out = Vectors.offHeap(gated);
    FloatVector g = FloatVector.broadcast(Vectors.F, gate);
    for (int i = 0; i < size; i += Vectors.LANES) {
      FloatVector.fromMemorySegment(Vectors.F, vs, value + 4L * i, Vectors.LITTLE)
          .mul(g)
          .intoMemorySegment(out, to + 4L * i, Vectors.LITTLE);
    }
  }
}
