package io.engram4j.gguf;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Where a value of the metadata lies: values are read when they are asked for, as token lists take
 * megabytes.
 *
 * @param kind of the value, or of an array's elements
 * @param count elements, -1 if it is no array
 * @param at its first byte in the file; of an array the first of its elements
 */
record GgufValue(Kind kind, long count, long at) {
  /** The kinds of values, in the order of their numbers. */
  enum Kind {
    U8(1),
    I8(1),
    U16(2),
    I16(2),
    U32(4),
    I32(4),
    F32(4),
    BOOL(1),
    STRING(0),
    ARRAY(0),
    U64(8),
    I64(8),
    F64(8);

    private static final Kind[] ALL = values();

    /** Of an element, 0 if they differ. */
    final int bytes;

    Kind(int bytes) {
      this.bytes = bytes;
    }

    static @Nullable Kind of(long number) {
      return number >= 0 && number < ALL.length ? ALL[(int) number] : null;
    }

    boolean isInteger() {
      return Arrays.asList(U8, I8, U16, I16, U32, I32, U64, I64).contains(this);
    }

    @Override
    public String toString() {
      return name().toLowerCase(java.util.Locale.ROOT);
    }
  }

  boolean isArray() {
    return count >= 0;
  }

  @Override
  public String toString() {
    return isArray() ? kind + "[" + count + "]" : kind.toString();
  }
}
