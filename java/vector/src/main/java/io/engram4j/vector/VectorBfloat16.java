package io.engram4j.vector;

import static io.engram4j.vector.Vectors.I;
import static io.engram4j.vector.Vectors.LANES;
import static io.engram4j.vector.Vectors.LITTLE;
import static io.engram4j.vector.Vectors.S;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/** Bf16, the upper half of a float, there and back; as {@link io.engram4j.format.Bfloat16} does. */
final class VectorBfloat16 {
  private VectorBfloat16() {}

  /** Writes as floats what lies from a byte on; the count is a multiple of the lanes. */
  static void widen(MemorySegment halves, long from, MemorySegment floats, int count) {
    MemorySegment in = Vectors.offHeap(halves);
    MemorySegment out = Vectors.offHeap(floats);
    for (int i = 0; i < count; i += LANES) {
      ShortVector.fromMemorySegment(S, in, from + 2L * i, LITTLE)
          .convertShape(VectorOperators.ZERO_EXTEND_S2I, I, 0)
          .reinterpretAsInts()
          .lanewise(VectorOperators.LSHL, 16)
          .intoMemorySegment(out, 4L * i, LITTLE);
    }
  }

  /** Writes the nearest bf16, ties to even; a NaN stays one. */
  static void narrow(MemorySegment floats, MemorySegment halves, long to, int count) {
    MemorySegment in = Vectors.offHeap(floats);
    MemorySegment out = Vectors.offHeap(halves);
    for (int i = 0; i < count; i += LANES) {
      IntVector bits = IntVector.fromMemorySegment(I, in, 4L * i, LITTLE);
      VectorMask<Integer> nan =
          bits.lanewise(VectorOperators.AND, 0x7fffffff).compare(VectorOperators.GT, 0x7f800000);
      IntVector upper = bits.lanewise(VectorOperators.LSHR, 16);
      IntVector odd = upper.lanewise(VectorOperators.AND, 1);
      bits.add(odd)
          .add(0x7fff)
          .lanewise(VectorOperators.LSHR, 16)
          .blend(upper.lanewise(VectorOperators.OR, 0x40), nan)
          .convertShape(VectorOperators.I2S, S, 0)
          .reinterpretAsShorts()
          .intoMemorySegment(out, to + 2L * i, LITTLE);
    }
  }
}
