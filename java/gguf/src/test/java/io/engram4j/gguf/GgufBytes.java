package io.engram4j.gguf;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** Puts a file together, well or badly. Numbers that are not given are counted. */
final class GgufBytes {
  static final int U8 = 0;
  static final int U16 = 2;
  static final int U32 = 4;
  static final int I32 = 5;
  static final int F32 = 6;
  static final int BOOL = 7;
  static final int STRING = 8;
  static final int ARRAY = 9;
  static final int U64 = 10;

  private final ByteArrayOutputStream values = new ByteArrayOutputStream();
  private final ByteArrayOutputStream infos = new ByteArrayOutputStream();
  private int magic = 0x46554747;
  private int version = 3;
  private long valueCount;
  private long tensorCount;
  private int alignment = 32;
  private int dataBytes;

  static byte[] u32(long value) {
    return ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt((int) value).array();
  }

  static byte[] u64(long value) {
    return ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(value).array();
  }

  static byte[] text(String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    return concat(u64(bytes.length), bytes);
  }

  static byte[] concat(byte[]... parts) {
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    for (byte[] part : parts) {
      all.writeBytes(part);
    }
    return all.toByteArray();
  }

  /** An array's bytes behind the type 9. */
  static byte[] array(int type, long count, byte[]... elements) {
    return concat(u32(type), u64(count), concat(elements));
  }

  GgufBytes magic(int newMagic) {
    magic = newMagic;
    return this;
  }

  GgufBytes version(int newVersion) {
    version = newVersion;
    return this;
  }

  GgufBytes counts(long tensors, long keys) {
    tensorCount = tensors;
    valueCount = keys;
    return this;
  }

  GgufBytes value(String key, int type, byte[] bytes) {
    return rawKey(text(key), type, bytes);
  }

  GgufBytes rawKey(byte[] key, int type, byte[] bytes) {
    values.writeBytes(concat(key, u32(type), bytes));
    valueCount++;
    return this;
  }

  GgufBytes alignment(int newAlignment) {
    alignment = newAlignment;
    return value("general.alignment", U32, u32(newAlignment));
  }

  /** Where data begins is rounded up to this, whatever the file says. */
  GgufBytes dataAt(int rounded) {
    alignment = rounded;
    return this;
  }

  GgufBytes tensor(String name, int type, long offset, long... dims) {
    return rawTensor(text(name), dims.length, type, offset, dims);
  }

  GgufBytes rawTensor(byte[] name, int count, int type, long offset, long... dims) {
    infos.writeBytes(concat(name, u32(count)));
    for (long dim : dims) {
      infos.writeBytes(u64(dim));
    }
    infos.writeBytes(concat(u32(type), u64(offset)));
    tensorCount++;
    return this;
  }

  GgufBytes data(int bytes) {
    dataBytes = bytes;
    return this;
  }

  byte[] build() {
    byte[] header =
        concat(
            u32(magic),
            u32(version),
            u64(tensorCount),
            u64(valueCount),
            values.toByteArray(),
            infos.toByteArray());
    int data =
        alignment < 1 ? header.length : (header.length + alignment - 1) / alignment * alignment;
    byte[] all = new byte[data + dataBytes];
    System.arraycopy(header, 0, all, 0, header.length);
    for (int i = data; i < all.length; i++) {
      all[i] = (byte) (i - data);
    }
    return all;
  }
}
