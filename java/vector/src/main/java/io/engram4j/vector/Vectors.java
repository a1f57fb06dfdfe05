package io.engram4j.vector;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;
import org.jspecify.annotations.Nullable;

/**
 * The shapes of this CPU and the memory that all kernels read: one segment that covers every
 * address. Kernels would otherwise see a mapping in one call and an arena's memory in the next, and
 * code that was compiled for one class of segments runs a hundred times slower with two. What an
 * address may be was checked before.
 */
final class Vectors {
  static final VectorSpecies<Float> F = FloatVector.SPECIES_PREFERRED;
  static final VectorSpecies<Integer> I = IntVector.SPECIES_PREFERRED;
  static final VectorSpecies<Double> D = DoubleVector.SPECIES_PREFERRED;

  /** As many bytes as there are floats in a vector. */
  static final VectorSpecies<Byte> B =
      VectorSpecies.of(byte.class, VectorShape.forBitSize(Math.max(64, F.length() * 8)));

  static final int LANES = F.length();
  static final ByteOrder LITTLE = ByteOrder.LITTLE_ENDIAN;

  @SuppressWarnings("restricted")
  static final MemorySegment ALL = MemorySegment.NULL.reinterpret(Long.MAX_VALUE);

  /** An fp8 code of bias 7 in a float's exponent field of bias 127 lacks a factor of 2^120. */
  static final int CODE_MISSING = 120;

  /** A code widened to 32 bits goes to sign, lower exponent bits and upper fraction bits. */
  static final int CODE_SHIFT = 20;

  static final int CODE_BITS = 0x87F00000;

  private Vectors() {}

  /** Returns why the kernels cannot run here, or null if they can. */
  static @Nullable String problem() {
    if (LANES != ByteVector.zero(B).length()) {
      return "vectors of this CPU have " + F.vectorBitSize() + " bits, but 256 are the least";
    }
    return null;
  }

  static boolean areNative(MemorySegment... segments) {
    for (MemorySegment segment : segments) {
      if (!segment.isNative()) {
        return false;
      }
    }
    return true;
  }
}
