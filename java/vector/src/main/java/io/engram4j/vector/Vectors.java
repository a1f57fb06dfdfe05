package io.engram4j.vector;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;
import org.jspecify.annotations.Nullable;

/**
 * The shapes of this CPU, and memory as kernels read it: through the caller's segments, so that
 * each access has its bounds, its arena and its thread checked, and an arena that is closed
 * meanwhile is an exception. Code that was compiled for segments of one class runs a hundred times
 * slower when another comes, on the heap for example, and those of a whole process count: so a
 * kernel begins by telling the compiler that its segments are off the heap ({@link #offHeap}).
 */
final class Vectors {
  static final VectorSpecies<Float> F = FloatVector.SPECIES_PREFERRED;
  static final VectorSpecies<Integer> I = IntVector.SPECIES_PREFERRED;
  static final VectorSpecies<Double> D = DoubleVector.SPECIES_PREFERRED;

  /** As many bytes as there are floats in a vector. */
  static final VectorSpecies<Byte> B =
      VectorSpecies.of(byte.class, VectorShape.forBitSize(Math.max(64, F.length() * 8)));

  /** As many 16-bit numbers as there are floats in a vector. */
  static final VectorSpecies<Short> S =
      VectorSpecies.of(short.class, VectorShape.forBitSize(Math.max(64, F.length() * 16)));

  static final int LANES = F.length();

  private static final VectorSpecies<Short> HALVES = ShortVector.SPECIES_PREFERRED;

  /** As many bytes as there are halves in a vector. */
  private static final VectorSpecies<Byte> HALF_CODES =
      VectorSpecies.of(byte.class, VectorShape.forBitSize(HALVES.length() * 8));

  /** The 32 codes of a block: one load for all vectors of floats that they become. */
  static final VectorSpecies<Byte> TILE = ByteVector.SPECIES_256;

  /** How many vectors of floats a block becomes. */
  static final int PARTS = TILE.length() / LANES;

  static final ByteOrder LITTLE = ByteOrder.LITTLE_ENDIAN;

  /** The class of every segment off the heap, of mapped ones the one above theirs. */
  private static final Class<?> OFF_HEAP = MemorySegment.NULL.getClass();

  /** What {@link #codes} come divided by: 2^8, so that the least scale makes a normal factor. */
  static final int CODES_DIVIDED = 8;

  /** Where a code of 32 bits has its exponent and fraction in a float's exponent and fraction. */
  private static final int CODE_SHIFT = 20;

  private static final int CODE_SIZE = 0x07F00000;
  private static final int CODE_SIGN = 0x80000000;

  /** The difference of the biases, 127 and 7, less what codes are divided by. */
  private static final int CODE_BIAS = (127 - 7 - CODES_DIVIDED) << 23;

  private Vectors() {}

  /** Returns why the kernels cannot run here, or null if they can. */
  static @Nullable String problem() {
    if (LANES != ByteVector.zero(B).length()) {
      return "vectors of this CPU have " + F.vectorBitSize() + " bits, but 256 are the least";
    }
    return null;
  }

  /** Returns the segment, which {@link MemorySegment#isNative}; the compiler then knows it. */
  static MemorySegment offHeap(MemorySegment segment) {
    return (MemorySegment) OFF_HEAP.cast(segment);
  }

  /**
   * Returns as many fp8 codes as there are floats in a vector, as floats divided by 256. With the
   * bias added at once no code is a subnormal float, which costs Intel's cores 150 cycles a vector;
   * those with exponent 0 are then (1 + f) 2^-15, where f 2^-14 is meant: twice that less 2^-14,
   * which for all other codes is no smaller than they are. A minimum of integers, which floats
   * without signs compare as, takes less than a mask. Small, so that it is compiled into the loop.
   *
   * @param part the first codes, or those after them
   */
  static FloatVector codes(ByteVector codes, int part) {
    IntVector moved =
        ((IntVector) codes.convertShape(VectorOperators.B2I, I, part))
            .lanewise(VectorOperators.LSHL, CODE_SHIFT);
    FloatVector value = moved.and(CODE_SIZE).add(CODE_BIAS).reinterpretAsFloats();
    FloatVector twice = value.fma(FloatVector.broadcast(F, 2), FloatVector.broadcast(F, -0x1p-14f));
    return value
        .reinterpretAsInts()
        .min(twice.reinterpretAsInts())
        .or(moved.and(CODE_SIGN))
        .reinterpretAsFloats();
  }

  /**
   * Returns codes of a block as {@link #codes(ByteVector, int)} does. A CPU with wide vectors takes
   * them from the block that was loaded; of one with four or more parts, moving a part to the front
   * took a fifth of the time of gather, and loads of their own none (Zen 3).
   */
  static FloatVector codes(ByteVector block, MemorySegment in, long at, int part) {
    return PARTS > 2
        ? codes(ByteVector.fromMemorySegment(B, in, at + (long) part * LANES, LITTLE), 0)
        : codes(block, part);
  }

  /** Moves fp8 codes into halves, which then are those floats divided by 256 too. */
  static void halves(MemorySegment codes, long from, short[] halves, int to, int count) {
    MemorySegment in = offHeap(codes);
    for (int i = 0; i < count; i += HALVES.length()) {
      ((ShortVector)
              ByteVector.fromMemorySegment(HALF_CODES, in, from + i, LITTLE)
                  .convertShape(VectorOperators.B2S, HALVES, 0))
          .lanewise(VectorOperators.LSHL, 7)
          .and((short) 0xBF80)
          .intoArray(halves, to + i);
    }
  }

  /**
   * Halves as floats. Not of the Vector API, which does not know halves, but as simple as the
   * compiler needs it to make vectors of it.
   */
  static void floats(short[] halves, float[] floats, int count) {
    for (int i = 0; i < count; i++) {
      floats[i] = Float.float16ToFloat(halves[i]);
    }
  }

  /** Adds the lanes in an order that is always the same, which reduceLanes does not promise. */
  static double sum(DoubleVector vector, double[] lanes) {
    vector.intoArray(lanes, 0);
    return sum(lanes, 0);
  }

  /** Likewise of a vector that was stored, whose lanes are not needed then. */
  static double sum(double[] lanes, int at) {
    for (int count = D.length() / 2; count > 0; count /= 2) {
      for (int i = at; i < at + count; i++) {
        lanes[i] += lanes[i + count];
      }
    }
    return lanes[at];
  }
}
