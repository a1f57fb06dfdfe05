package io.engram4j.tck;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import io.engram4j.format.Bfloat16;
import io.engram4j.kernel.Backend;
import io.engram4j.table.RowType;
import io.engram4j.weights.Linear;
import io.engram4j.weights.Projection;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** Projections of random shapes, with NaN, infinities and the ends of e8m0 among them. */
final class ProjectCases extends Cases {
  private static final List<RowType> TYPES = types();

  /** Those of published projections, fp8 and bf16, as often as all others. */
  private static List<RowType> types() {
    List<RowType> types = new ArrayList<>();
    for (RowType type : RowType.values()) {
      if (type.isWeight()) {
        types.add(type);
        types.add(types.size() % 4 == 1 ? RowType.BF16 : RowType.F8_E4M3);
      }
    }
    return types;
  }

  ProjectCases(Backend backend, @Nullable Function<Arena, SegmentAllocator> memory) {
    super(backend, memory);
  }

  @Override
  void one(SplittableRandom random) throws Mismatch {
    boolean isWide = random.nextInt(8) == 0; // kernels add hundreds of inputs before they go on
    int inputs =
        isWide ? Linear.TILE * random.nextInt(16, 80) : pick(SIZES, random) * random.nextInt(1, 4);
    int tokens = pick(TOKENS, random);
    try (Buffers buffers = buffers(random)) {
      List<Linear> parts = new ArrayList<>();
      for (int part = random.nextInt(1, 4); part > 0; part--) {
        // the inputs of a wider map, now and then
        RowType type = TYPES.get(random.nextInt(TYPES.size()));
        int unit = Math.max(Linear.TILE, type.blockElements());
        int before = unit * Math.max(0, random.nextInt(-2, 3));
        int behind = Math.max(0, random.nextInt(-20, 20));
        int all = before + inputs + behind;
        Linear whole = linear(buffers, type, pick(SIZES, random), all, random);
        parts.add(whole.ofInputs(before, inputs));
      }
      Projection projection = new Projection(parts);
      MemorySegment rows = wildFloats(buffers, tokens * inputs, random);
      shorten(rows, random.nextInt(tokens * inputs + 1), random);
      MemorySegment actual = buffers.allocate(4L * tokens * projection.outputs());
      MemorySegment expected = buffers.allocate(4L * tokens * projection.outputs());
      int outputs = projection.outputs();
      int first = random.nextInt(outputs); // in two parts, in whatever order
      Backend.Project kernel = backend.project(projection, buffers.arena());
      kernel.run(rows, tokens, first, outputs - first, actual);
      kernel.run(rows, tokens, 0, first, actual);
      truth.project(projection, buffers.arena()).run(rows, tokens, 0, outputs, expected);
      double size = 0;
      for (Linear part : parts) {
        size += Terms.squares(part, toArray(rows), tokens);
      }
      requireNorm("key and value", toArray(actual), toArray(expected), Math.sqrt(size));
      requireIntact(buffers);
    }
  }

  /** Makes bf16 of many numbers, as fp8 tables have them: there are kernels for such rows. */
  private static void shorten(MemorySegment rows, int some, SplittableRandom random) {
    long count = random.nextBoolean() ? rows.byteSize() / 4 : some;
    for (long i = 0; i < count; i++) {
      int bits = Float.floatToRawIntBits(rows.getAtIndex(JAVA_FLOAT_UNALIGNED, i));
      rows.setAtIndex(JAVA_FLOAT_UNALIGNED, i, Float.intBitsToFloat(bits & 0xffff0000));
    }
  }

  private static Linear linear(
      Buffers buffers, RowType type, int outputs, int inputs, SplittableRandom random) {
    MemorySegment weight = buffers.allocate(outputs * type.elementBytes(inputs));
    MemorySegment scale = null;
    if (type.hasScalesBeside()) {
      for (long i = 0; i < weight.byteSize(); i++) {
        byte code = (byte) random.nextInt();
        weight.set(JAVA_BYTE, i, (code & 0x7f) == 0x7f && random.nextInt(8) > 0 ? 0 : code);
      }
      scale = buffers.allocate((long) Linear.tiles(outputs) * Linear.tiles(inputs));
      boolean wild = random.nextInt(8) == 0;
      for (long i = 0; i < scale.byteSize(); i++) {
        scale.set(JAVA_BYTE, i, (byte) (wild ? random.nextInt() : random.nextInt(110, 130)));
      }
    } else if (type.scales() == RowType.Scales.IN_ROW) {
      Blocks.fill(type, weight, random);
    } else {
      for (long i = 0; i < (long) outputs * inputs; i++) {
        float value = (float) random.nextGaussian();
        if (type == RowType.F32) {
          weight.setAtIndex(JAVA_FLOAT_UNALIGNED, i, value);
        } else {
          short bits =
              type == RowType.F16 ? Float.floatToFloat16(value) : Bfloat16.fromFloat(value);
          weight.setAtIndex(JAVA_SHORT_UNALIGNED, i, bits);
        }
      }
    }
    float @Nullable [] bias = null;
    if (random.nextBoolean()) {
      bias = new float[outputs];
      for (int i = 0; i < outputs; i++) {
        bias[i] = (float) random.nextGaussian();
      }
    }
    return new Linear("weight", outputs, inputs, type, weight, scale, bias);
  }
}
