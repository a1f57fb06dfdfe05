package io.engram4j.vector;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import io.engram4j.kernel.Backend;
import io.engram4j.model.HiddenStream;
import io.engram4j.weights.ConvWeights;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/**
 * The paper's convolution of four taps, as all published models have, in the order of the C
 * kernels. Other numbers of taps, and values or windows on the heap, are plain Java's.
 */
final class VectorConv implements Backend.Conv {
  private static final int TAPS = 4;

  private final ConvWeights weights;
  private final Backend.Conv plain;
  private final float[] taps; // [TAPS, channels]
  private final float[] norm;

  VectorConv(ConvWeights weights, Backend.Conv plain) {
    this.weights = weights;
    this.plain = plain;
    int channels = weights.channels();
    this.taps = new float[TAPS * channels];
    this.norm = new float[channels];
    for (int channel = 0; channel < channels; channel++) {
      for (int tap = 0; tap < TAPS; tap++) {
        taps[tap * channels + channel] = weights.tap(channel, tap);
      }
      norm[channel] = weights.norm(channel);
    }
  }

  static boolean fits(ConvWeights weights) {
    return weights.kernel() == TAPS && weights.hiddenSize() % Vectors.LANES == 0;
  }

  @Override
  public void run(
      MemorySegment gated,
      MemorySegment window,
      int first,
      MemorySegment mask,
      long tokens,
      HiddenStream hidden) {
    int size = weights.hiddenSize();
    if (!gated.isNative() || !window.isNative()) {
      plain.run(gated, window, first, mask, tokens, hidden);
    } else if (VectorStream.isDirect(hidden)) {
      each(gated, window, first, mask, tokens, hidden, VectorStream.direct(hidden, size));
    } else {
      try (Arena arena = Arena.ofConfined()) {
        VectorStream stream = VectorStream.copied(hidden, size, arena);
        each(gated, window, first, mask, tokens, hidden, stream);
      }
    }
  }

  private void each(
      MemorySegment gated,
      MemorySegment window,
      int first,
      MemorySegment mask,
      long tokens,
      HiddenStream hidden,
      VectorStream stream) {
    int size = weights.hiddenSize();
    long channels = weights.channels();
    long step = 4 * channels * weights.dilation();
    float[] sums = new float[size];
    double[] lanes = new double[Vectors.D.length()];
    for (long token = 0; token < tokens; token++) {
      boolean live = mask.get(JAVA_BYTE, token) != 0;
      for (int branch = 0; branch < weights.branches(); branch++) {
        int channel = branch * size;
        long own = 4 * (token * channels + channel);
        long row = 4 * ((first + token) * channels + channel);
        normalise(gated, own, window, row, channel, lanes);
        if (live) {
          long at = hidden.at(token, branch);
          long from = stream.take(at);
          convolve(window, row, step, taps, channel, sums);
          add(sums, gated, own, stream.floats(), from);
          stream.give(at);
        }
      }
      if (!live) {
        gated.asSlice(4 * token * channels, 4 * channels).fill((byte) 0);
      }
    }
  }

  private void normalise(
      MemorySegment gated, long from, MemorySegment window, long to, int channel, double[] lanes) {
    int size = weights.hiddenSize();
    double mean = Vectors.sum(squares(gated, from, size), lanes) / size;
    float scale = (float) (1 / Math.sqrt(mean + weights.eps()));
    normalise(gated, from, window, to, norm, channel, size, scale);
  }

  private static DoubleVector squares(MemorySegment gated, long from, int size) {
    MemorySegment in = Vectors.offHeap(gated);
    DoubleVector low = DoubleVector.zero(Vectors.D);
    DoubleVector high = DoubleVector.zero(Vectors.D);
    for (int i = 0; i < size; i += Vectors.LANES) {
      FloatVector x = FloatVector.fromMemorySegment(Vectors.F, in, from + 4L * i, Vectors.LITTLE);
      DoubleVector x0 = (DoubleVector) x.convertShape(VectorOperators.F2D, Vectors.D, 0);
      DoubleVector x1 = (DoubleVector) x.convertShape(VectorOperators.F2D, Vectors.D, 1);
      low = x0.fma(x0, low);
      high = x1.fma(x1, high);
    }
    return low.add(high);
  }

  private static void normalise(
      MemorySegment gated,
      long from,
      MemorySegment window,
      long to,
      float[] norm,
      int channel,
      int size,
      float scale) {
    MemorySegment in = Vectors.offHeap(gated);
    MemorySegment out = Vectors.offHeap(window);
    for (int i = 0; i < size; i += Vectors.LANES) {
      FloatVector.fromMemorySegment(Vectors.F, in, from + 4L * i, Vectors.LITTLE)
          .mul(scale)
          .mul(FloatVector.fromArray(Vectors.F, norm, channel + i))
          .intoMemorySegment(out, to + 4L * i, Vectors.LITTLE);
    }
  }

  /** What the taps of a branch add up to. */
  private static void convolve(
      MemorySegment window, long row, long step, float[] taps, int channel, float[] sums) {
    MemorySegment in = Vectors.offHeap(window);
    int channels = taps.length / TAPS;
    long oldest = row - 3 * step;
    for (int i = 0; i < sums.length; i += Vectors.LANES) {
      int tap = channel + i;
      long now = oldest + 4L * i;
      tap(taps, tap + 3 * channels)
          .fma(
              values(in, now + 3 * step),
              tap(taps, tap + 2 * channels)
                  .fma(
                      values(in, now + 2 * step),
                      tap(taps, tap + channels)
                          .fma(values(in, now + step), tap(taps, tap).mul(values(in, now)))))
          .intoArray(sums, i);
    }
  }

  /** Adds SiLU of the sums to the gated values, and both to the stream. */
  private static void add(
      float[] sums, MemorySegment gated, long own, MemorySegment stream, long at) {
    MemorySegment deltas = Vectors.offHeap(gated);
    MemorySegment floats = Vectors.offHeap(stream);
    for (int i = 0; i < sums.length; i += Vectors.LANES) {
      FloatVector sum = FloatVector.fromArray(Vectors.F, sums, i);
      FloatVector silu = sum.div(sum.neg().lanewise(VectorOperators.EXP).add(1));
      FloatVector delta = values(deltas, own + 4L * i).add(silu);
      delta.intoMemorySegment(deltas, own + 4L * i, Vectors.LITTLE);
      values(floats, at + 4L * i).add(delta).intoMemorySegment(floats, at + 4L * i, Vectors.LITTLE);
    }
  }

  private static FloatVector tap(float[] taps, int at) {
    return FloatVector.fromArray(Vectors.F, taps, at);
  }

  private static FloatVector values(MemorySegment floats, long at) {
    return FloatVector.fromMemorySegment(Vectors.F, floats, at, Vectors.LITTLE);
  }
}
