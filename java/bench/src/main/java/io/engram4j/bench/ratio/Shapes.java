package io.engram4j.bench.ratio;

import io.engram4j.Backends;
import io.engram4j.format.E4m3;
import io.engram4j.format.E8m0;
import io.engram4j.kernel.Backend;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.EngramLayout;
import io.engram4j.model.LayerLayout;
import io.engram4j.table.RowType;
import io.engram4j.table.Table;
import io.engram4j.weights.GateWeights;
import io.engram4j.weights.GateWeights.ZeroRule;
import io.engram4j.weights.Linear;
import io.engram4j.weights.Projection;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.SplittableRandom;

/** DeepSeek-V4.1-Flash's widths, with a table as large as there is memory, and random inputs. */
final class Shapes {
  static final int HIDDEN = 5120;
  static final int DEMO_HIDDEN = 1024;
  static final int BRANCHES = 4;
  static final int COLUMNS = 24;
  static final int HEAD_DIM = 256;
  static final int DEMO_HEAD_DIM = 64;
  static final int ROW_BYTES = HEAD_DIM + HEAD_DIM / 32;
  static final int INPUTS = COLUMNS * HEAD_DIM;
  static final int OUTPUTS = (BRANCHES + 1) * HIDDEN;
  static final int VOCABULARY = 99_092;
  static final int WINDOW = 4;

  private static final SplittableRandom random = new SplittableRandom(5);

  private Shapes() {}

  /** What the hash of a layer takes, as C and the rivals read it: int64 each. */
  record Numbers(MemorySegment multipliers, MemorySegment primes, MemorySegment offsets) {
    static Numbers of(LayerLayout layout) {
      Numbers numbers =
          new Numbers(allocate(8L * WINDOW), allocate(8L * COLUMNS), allocate(8L * COLUMNS));
      for (int i = 0; i < WINDOW; i++) {
        numbers.multipliers.setAtIndex(ValueLayout.JAVA_LONG, i, layout.multiplier(i));
      }
      for (int i = 0; i < COLUMNS; i++) {
        numbers.primes.setAtIndex(ValueLayout.JAVA_LONG, i, layout.prime(i));
        numbers.offsets.setAtIndex(ValueLayout.JAVA_LONG, i, layout.offset(i));
      }
      return numbers;
    }
  }

  /** A model of one layer whose table takes so many gigabytes. */
  static EngramConfig config(double gigabytes) {
    return config(gigabytes, 1);
  }

  private static EngramConfig config(double gigabytes, int layer) {
    long start = (long) (gigabytes * 1e9 / ROW_BYTES / COLUMNS);
    return EngramConfig.builder()
        .hiddenSize(HIDDEN)
        .branches(BRANCHES)
        .layerIds(List.of(layer))
        .ngrams(WINDOW, start)
        .heads(8, HEAD_DIM)
        .padTokenId(2)
        .build();
  }

  static LayerLayout layout(double gigabytes) {
    return EngramLayout.of(config(gigabytes), VOCABULARY).getFirst();
  }

  /** As many rows, but other ones for the same n-grams. */
  static LayerLayout otherLayout(double gigabytes) {
    return EngramLayout.of(config(gigabytes, 14), VOCABULARY).getFirst();
  }

  /** A table of random rows in anonymous memory; the caller frees it. */
  static MemorySegment rows(long rows, int headDim, boolean huge) {
    MemorySegment data = Limits.pages(rows * (headDim + headDim / 32), huge);
    Limits.fill(data, rows, headDim, 7);
    return data;
  }

  static Table table(long rows, int headDim, MemorySegment data) {
    return Table.interleaved("bench", RowType.F8_E4M3, rows, headDim, data);
  }

  static MemorySegment allocate(long bytes) {
    return Limits.pages(Math.max(bytes, 4096), true); // of the process, like the scratch memory
  }

  static MemorySegment floats(long count) {
    MemorySegment segment = allocate(4 * count);
    for (long i = 0; i < count; i++) {
      float value = (float) (random.nextDouble() + random.nextDouble() + random.nextDouble() - 1.5);
      segment.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
    }
    return segment;
  }

  /** Numbers as rows of an fp8 table have them: codes times a power of two for each 32. */
  static MemorySegment decodedRows(long count) {
    MemorySegment segment = allocate(4 * count);
    float scale = 1;
    for (long i = 0; i < count; i++) {
      scale = i % 32 == 0 ? E8m0.toFloat((byte) random.nextInt(112, 120)) : scale;
      float code = E4m3.toFloat((byte) (random.nextInt() & 0xef));
      segment.setAtIndex(ValueLayout.JAVA_FLOAT, i, code * scale);
    }
    return segment;
  }

  static MemorySegment bf16(long count) {
    MemorySegment segment = allocate(2 * count);
    for (long i = 0; i < count; i++) {
      int bits = Float.floatToIntBits((float) random.nextDouble() - 0.5f);
      segment.setAtIndex(ValueLayout.JAVA_SHORT, i, (short) (bits >>> 16));
    }
    return segment;
  }

  static void fillIds(MemorySegment ids, long count, long rows) {
    for (long i = 0; i < count; i++) {
      ids.setAtIndex(ValueLayout.JAVA_LONG, i, random.nextLong(rows));
    }
  }

  static MemorySegment windows(int tokens) {
    MemorySegment windows = allocate(4L * WINDOW * tokens);
    fillWindows(windows, tokens);
    return windows;
  }

  static void fillWindows(MemorySegment windows, int tokens) {
    for (int i = 0; i < WINDOW * tokens; i++) {
      windows.setAtIndex(ValueLayout.JAVA_INT, i, random.nextInt(VOCABULARY));
    }
  }

  static GateWeights gate(int hidden) {
    float[] one = new float[BRANCHES * hidden];
    float[] other = new float[BRANCHES * hidden];
    for (int i = 0; i < one.length; i++) {
      one[i] = (float) random.nextDouble(0.5, 1.5);
      other[i] = 1;
    }
    return new GateWeights(BRANCHES, hidden, one, other, 1e-20, ZeroRule.COPYSIGN);
  }

  static MemorySegment mask(int tokens) {
    return Arena.global().allocate(tokens).fill((byte) 1);
  }

  /** V4.1's projection in fp8, without NaN codes. */
  static Projection projection() {
    MemorySegment weight = allocate((long) OUTPUTS * INPUTS);
    for (long i = 0; i < weight.byteSize() / 8; i++) {
      weight.setAtIndex(ValueLayout.JAVA_LONG, i, random.nextLong() & 0xefefefefefefefefL);
    }
    MemorySegment scale = allocate((long) Linear.tiles(OUTPUTS) * Linear.tiles(INPUTS));
    scale = scale.asSlice(0, (long) Linear.tiles(OUTPUTS) * Linear.tiles(INPUTS)).fill((byte) 113);
    return new Projection(
        List.of(new Linear("wkv", OUTPUTS, INPUTS, RowType.F8_E4M3, weight, scale, null)));
  }

  /** The C kernels at one tier. */
  static Backend cpu(String tier) {
    System.setProperty("engram.cpu.maxTier", tier);
    try {
      return Backends.named("cpu");
    } finally {
      System.clearProperty("engram.cpu.maxTier");
    }
  }
}
