package io.engram4j.vector;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
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

  /** What {@link #codes} come divided by: 2^8, so that the least scale makes a normal factor. */
  static final int CODES_DIVIDED = 8;

  /** Where a code of 32 bits has its exponent and fraction in a float's exponent and fraction. */
  private static final int CODE_SHIFT = 20;

  private static final int CODE_SIZE = 0x07F00000;
  private static final int CODE_SIGN = 0x80000000;
  private static final int ONE_EXPONENT = 1 << 23;

  /** The difference of the biases, 127 and 7, less what codes are divided by. */
  private static final int CODE_BIAS = (127 - 7 - CODES_DIVIDED) << 23;

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

  /**
   * Returns fp8 codes as floats divided by 256. With the bias added at once no code is a subnormal
   * float, which costs Intel's cores 150 cycles a vector; those with exponent 0 then lack a
   * subtraction. Small, so that it is compiled into the loop.
   */
  static FloatVector codes(ByteVector codes) {
    IntVector moved =
        ((IntVector) codes.convertShape(VectorOperators.B2I, I, 0))
            .lanewise(VectorOperators.LSHL, CODE_SHIFT);
    IntVector size = moved.and(CODE_SIZE);
    FloatVector value = size.add(CODE_BIAS).reinterpretAsFloats();
    // (1 + f) 2^-15, where f 2^-14 is meant
    VectorMask<Float> small = size.compare(VectorOperators.LT, ONE_EXPONENT).cast(F);
    FloatVector right = value.add(value.sub(0x1p-14f), small);
    return right.reinterpretAsInts().or(moved.and(CODE_SIGN)).reinterpretAsFloats();
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
