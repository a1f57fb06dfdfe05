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

  /** As many 16-bit numbers as there are floats in a vector. */
  static final VectorSpecies<Short> S =
      VectorSpecies.of(short.class, VectorShape.forBitSize(Math.max(64, F.length() * 16)));

  static final int LANES = F.length();
  static final ByteOrder LITTLE = ByteOrder.LITTLE_ENDIAN;

  /** Only where {@link #problem} has none. */
  static final MemorySegment ALL = everything();

  /** An fp8 code of bias 7 in a float's exponent field of bias 127 lacks a factor of 2^120. */
  static final int CODE_MISSING = 120;

  /** A code widened to 32 bits goes to sign, lower exponent bits and upper fraction bits. */
  static final int CODE_SHIFT = 20;

  static final int CODE_BITS = 0x87F00000;

  private Vectors() {}

  @SuppressWarnings("restricted")
  private static MemorySegment everything() {
    Module own = Vectors.class.getModule();
    // without the permission a JVM that denies would throw here, and no one could be told why
    return own.isNativeAccessEnabled()
        ? MemorySegment.NULL.reinterpret(Long.MAX_VALUE)
        : MemorySegment.NULL;
  }

  /** Returns why the kernels cannot run here, or null if they can. */
  static @Nullable String problem() {
    Module own = Vectors.class.getModule();
    if (!own.isNativeAccessEnabled()) {
      return "this JVM needs --enable-native-access="
          + (own.isNamed() ? own.getName() : "ALL-UNNAMED");
    }
    if (LANES != ByteVector.zero(B).length()) {
      return "vectors of this CPU have " + F.vectorBitSize() + " bits, but 256 are the least";
    }
    return null;
  }

  /**
   * Returns the address of memory off the heap, after the checks that an access through the segment
   * itself would have made. As with a C kernel's arguments, memory of a shared arena must not be
   * closed meanwhile.
   */
  static long address(MemorySegment segment, String what) {
    if (!segment.scope().isAlive()) {
      throw new IllegalStateException("the memory of " + what + " is closed");
    }
    if (!segment.isAccessibleBy(Thread.currentThread())) {
      throw new WrongThreadException("the memory of " + what + " belongs to another thread");
    }
    return segment.address();
  }

  /** Adds the lanes in an order that is always the same, which reduceLanes does not promise. */
  static double sum(DoubleVector vector, double[] lanes) {
    vector.intoArray(lanes, 0);
    for (int count = D.length() / 2; count > 0; count /= 2) {
      for (int i = 0; i < count; i++) {
        lanes[i] += lanes[i + count];
      }
    }
    return lanes[0];
  }
}
