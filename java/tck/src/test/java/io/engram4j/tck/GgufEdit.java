package io.engram4j.tck;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** A whole GGUF file whose keys and tensors can be changed, to be written anew. */
final class GgufEdit {
  private static final int[] SIZES = {1, 1, 2, 2, 4, 4, 4, 1, -1, -1, 8, 8, 8};
  private static final int STRING = 8;
  private static final int ARRAY = 9;

  private final Map<String, Value> values = new LinkedHashMap<>();
  private final List<Tensor> tensors = new ArrayList<>();
  private final byte[] data;
  private final int alignment;

  private static final class Value {
    private final int type;
    private final byte[] bytes;

    Value(int type, byte[] bytes) {
      this.type = type;
      this.bytes = bytes;
    }
  }

  /** A tensor's line in the header. */
  private record Tensor(String name, List<Long> dims, int type, long offset) {}

  private GgufEdit(byte[] file) {
    ByteBuffer in = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    in.getInt(); // magic
    in.getInt(); // version
    long tensorCount = in.getLong();
    long keys = in.getLong();
    int align = 32;
    for (long i = 0; i < keys; i++) {
      String key = text(in);
      int type = in.getInt();
      int from = in.position();
      skip(in, type);
      values.put(key, new Value(type, Arrays.copyOfRange(file, from, in.position())));
      align = key.equals("general.alignment") ? in.getInt(from) : align;
    }
    for (long i = 0; i < tensorCount; i++) {
      String name = text(in);
      List<Long> dims = new ArrayList<>();
      for (int d = in.getInt(); d > 0; d--) {
        dims.add(in.getLong());
      }
      tensors.add(new Tensor(name, dims, in.getInt(), in.getLong()));
    }
    alignment = align;
    int start = (in.position() + align - 1) / align * align;
    data = Arrays.copyOfRange(file, start, file.length);
  }

  private GgufEdit() {
    alignment = 32;
    data = new byte[0];
  }

  /** A file without keys and tensors. */
  static GgufEdit empty() {
    return new GgufEdit();
  }

  /** Adds a tensor whose bytes are not written. */
  GgufEdit tensor(String name, int type, long offset, long... dims) {
    tensors.add(new Tensor(name, Arrays.stream(dims).boxed().toList(), type, offset));
    return this;
  }

  GgufEdit real(String key, float value) {
    values.put(key, new Value(6, buffer(4).putFloat(value).array()));
    return this;
  }

  static GgufEdit of(Path file) throws IOException {
    return new GgufEdit(Files.readAllBytes(file));
  }

  private static String text(ByteBuffer in) {
    byte[] bytes = new byte[(int) in.getLong()];
    in.get(bytes);
    return new String(bytes, StandardCharsets.UTF_8);
  }

  private static void skip(ByteBuffer in, int type) {
    if (type == STRING) {
      text(in);
    } else if (type == ARRAY) {
      int element = in.getInt();
      long count = in.getLong();
      for (long i = 0; i < count; i++) {
        skip(in, element);
      }
    } else {
      in.position(in.position() + SIZES[type]);
    }
  }

  private static ByteBuffer buffer(int bytes) {
    return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  GgufEdit remove(String key) {
    if (values.remove(key) == null) {
      throw new IllegalArgumentException(key);
    }
    return this;
  }

  GgufEdit rename(String key, String other) {
    Value value = values.remove(key);
    if (value == null) {
      throw new IllegalArgumentException(key);
    }
    values.put(other, value);
    return this;
  }

  GgufEdit text(String key, String value) {
    byte[] bytes = value.getBytes(StandardCharsets.UTF_8);
    byte[] all = buffer(8 + bytes.length).putLong(bytes.length).put(bytes).array();
    values.put(key, new Value(STRING, all));
    return this;
  }

  GgufEdit number(String key, int value) {
    values.put(key, new Value(4, buffer(4).putInt(value).array()));
    return this;
  }

  /** Writes an array of u64. */
  GgufEdit numbers(String key, long... numbers) {
    byte[] all = new byte[12 + 8 * numbers.length];
    ByteBuffer bytes = ByteBuffer.wrap(all).order(ByteOrder.LITTLE_ENDIAN);
    bytes.putInt(10).putLong(numbers.length);
    for (long number : numbers) {
      bytes.putLong(number);
    }
    values.put(key, new Value(ARRAY, all));
    return this;
  }

  /** Changes one number of an array of u32, i32, u64 or i64. */
  GgufEdit element(String key, int index, long number) {
    Value value = Objects.requireNonNull(values.get(key), key);
    ByteBuffer bytes = ByteBuffer.wrap(value.bytes).order(ByteOrder.LITTLE_ENDIAN);
    int size = SIZES[bytes.getInt(0)];
    if (size == 4) {
      bytes.putInt(12 + 4 * index, (int) number);
    } else {
      bytes.putLong(12 + 8 * index, number);
    }
    return this;
  }

  GgufEdit renameTensor(String name, String other) {
    tensors.replaceAll(t -> t.name.equals(name) ? new Tensor(other, t.dims, t.type, t.offset) : t);
    return this;
  }

  GgufEdit typeOf(String name, int type, long... dims) {
    List<Long> shape = Arrays.stream(dims).boxed().toList();
    tensors.replaceAll(t -> t.name.equals(name) ? new Tensor(name, shape, type, t.offset) : t);
    return this;
  }

  /** Adds a number to all elements of a float32 tensor. */
  GgufEdit add(String name, float summand) {
    for (Tensor tensor : tensors) {
      if (tensor.name.equals(name)) {
        long count = tensor.dims.stream().reduce(1L, Math::multiplyExact);
        ByteBuffer bytes = ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < count; i++) {
          int at = (int) tensor.offset + 4 * i;
          bytes.putFloat(at, bytes.getFloat(at) + summand);
        }
      }
    }
    return this;
  }

  void write(Path file) throws IOException {
    Files.write(file, bytes());
  }

  byte[] bytes() {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.writeBytes(
        buffer(24)
            .putInt(0x46554747)
            .putInt(3)
            .putLong(tensors.size())
            .putLong(values.size())
            .array());
    values.forEach((key, value) -> {
      put(out, key);
      out.writeBytes(buffer(4).putInt(value.type).array());
      out.writeBytes(value.bytes);
    });
    for (Tensor tensor : tensors) {
      put(out, tensor.name);
      out.writeBytes(buffer(4).putInt(tensor.dims.size()).array());
      tensor.dims.forEach(dim -> out.writeBytes(buffer(8).putLong(dim).array()));
      out.writeBytes(buffer(12).putInt(tensor.type).putLong(tensor.offset).array());
    }
    out.writeBytes(new byte[(alignment - out.size() % alignment) % alignment]);
    out.writeBytes(data);
    return out.toByteArray();
  }

  private static void put(ByteArrayOutputStream out, String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    out.writeBytes(buffer(8).putLong(bytes.length).array());
    out.writeBytes(bytes);
  }
}
