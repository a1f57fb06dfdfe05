package io.engram4j.gguf;

import io.engram4j.gguf.GgufValue.Kind;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Set;

/**
 * A GGUF file, or all parts of one that was split: its metadata, and where its tensors lie. Holds
 * no file open; values are read when they are asked for. Immutable and thread-safe, as long as the
 * files stay as they are.
 *
 * <p>Source: the file format's own documents. What they leave open is refused as llama.cpp refuses
 * it, but that tensors may lie in any order, with gaps between them.
 */
public final class GgufFile {
  private static final int MOST_TEXT = 1 << 20;

  private final Path first;
  private final Map<String, GgufValue> values;
  private final Map<String, GgufTensor> tensors;
  private final int parts;

  private GgufFile(
      Path first, Map<String, GgufValue> values, Map<String, GgufTensor> tensors, int parts) {
    this.first = first;
    this.values = values;
    this.tensors = tensors;
    this.parts = parts;
  }

  /**
   * Opens a file, or the parts of a split one.
   *
   * @param path the file, any of its parts ({@code NAME-00001-of-00003.gguf}), or what their names
   *     begin with ({@code NAME})
   * @throws IOException if it is none, broken, or a part is missing; the message names file, key or
   *     tensor, and the two numbers that disagree
   */
  public static GgufFile open(Path path) throws IOException {
    GgufParts found = GgufParts.of(path);
    Path first = found.files().getFirst();
    GgufHeader header = GgufHeader.read(first);
    GgufFile alone = new GgufFile(first, header.values(), header.tensors(), 1);
    if (!found.split()) {
      long inAll = alone.integer("split.count").orElse(1);
      if (inAll > 1) {
        throw new IOException(
            first + " is a part of " + inAll + ", but its name does not end as a part's");
      }
      return alone;
    }
    Map<String, GgufTensor> tensors = new LinkedHashMap<>();
    long total = alone.required("split.tensors.count");
    int count = found.files().size();
    for (int i = 0; i < count; i++) {
      Path part = found.files().get(i);
      GgufHeader own = i == 0 ? header : GgufHeader.read(part);
      GgufFile opened = new GgufFile(part, own.values(), own.tensors(), 1);
      opened.requireNumber("split.no", i);
      opened.requireNumber("split.count", count);
      opened.requireNumber("split.tensors.count", total);
      for (GgufTensor tensor : own.tensors().values()) {
        GgufTensor other = tensors.put(tensor.name(), tensor);
        if (other != null) {
          throw new IOException(
              "tensor " + tensor.name() + " is in " + other.file() + " and in " + part);
        }
      }
    }
    if (tensors.size() != total) {
      throw new IOException(
          first + ": the parts have " + tensors.size() + " tensors, not " + total);
    }
    return new GgufFile(first, header.values(), tensors, count);
  }

  private long required(String key) throws IOException {
    return integer(key)
        .orElseThrow(() -> new IOException(first + " is named as a part, but has no " + key));
  }

  private void requireNumber(String key, long expected) throws IOException {
    long actual = required(key);
    if (actual != expected) {
      throw new IOException(first + ": " + key + " is " + actual + ", not " + expected);
    }
  }

  /** Returns the file, of a split one the first part, which has the metadata. */
  public Path file() {
    return first;
  }

  /** Returns how many files it is in. */
  public int parts() {
    return parts;
  }

  /** Returns all keys of the metadata, in the order of the file. */
  public Set<String> keys() {
    return Collections.unmodifiableSet(values.keySet());
  }

  /** Returns all tensors by name, in the order of the files. */
  public Map<String, GgufTensor> tensors() {
    return Collections.unmodifiableMap(tensors);
  }

  /**
   * Returns a tensor.
   *
   * @throws IOException if there is none of that name
   */
  public GgufTensor tensor(String name) throws IOException {
    GgufTensor tensor = tensors.get(name);
    if (tensor == null) {
      throw new IOException(first + " has no tensor " + name);
    }
    return tensor;
  }

  /**
   * Returns a text.
   *
   * @throws IOException if the value is none, or longer than 1 MiB
   */
  public Optional<String> text(String key) throws IOException {
    GgufValue value = values.get(key);
    if (value == null) {
      return Optional.empty();
    }
    require(key, value, value.kind() == Kind.STRING && !value.isArray(), "a text");
    try (GgufInput in = at(value)) {
      return Optional.of(in.text(MOST_TEXT, key));
    }
  }

  /**
   * Returns a whole number of any type.
   *
   * @throws IOException if the value is none, or does not fit a long
   */
  public OptionalLong integer(String key) throws IOException {
    GgufValue value = values.get(key);
    if (value == null) {
      return OptionalLong.empty();
    }
    require(key, value, value.kind().isInteger() && !value.isArray(), "a whole number");
    try (GgufInput in = at(value)) {
      long number = number(in, key, value.kind());
      requirePositiveIfUnsigned(key, value.kind(), number);
      return OptionalLong.of(number);
    }
  }

  /**
   * Returns a whole number that fits an int.
   *
   * @throws IOException if the value is none, or does not fit
   */
  public OptionalInt smallInteger(String key) throws IOException {
    OptionalLong number = integer(key);
    if (number.isEmpty()) {
      return OptionalInt.empty();
    }
    return OptionalInt.of(narrow(key, number.getAsLong()));
  }

  /**
   * Returns a number of any type.
   *
   * @throws IOException if the value is none
   */
  public OptionalDouble number(String key) throws IOException {
    GgufValue value = values.get(key);
    if (value == null) {
      return OptionalDouble.empty();
    }
    boolean real = value.kind() == Kind.F32 || value.kind() == Kind.F64;
    require(key, value, (real || value.kind().isInteger()) && !value.isArray(), "a number");
    if (!real) {
      return OptionalDouble.of((double) integer(key).orElseThrow());
    }
    try (GgufInput in = at(value)) {
      return OptionalDouble.of(
          value.kind() == Kind.F32
              ? Float.intBitsToFloat(in.i32(key))
              : Double.longBitsToDouble(in.u64(key)));
    }
  }

  /**
   * Returns an array of whole numbers of any type; those of u64 beyond 2^63 come negative.
   *
   * @throws IOException if the value is none
   */
  public Optional<long[]> integers(String key) throws IOException {
    GgufValue value = values.get(key);
    if (value == null) {
      return Optional.empty();
    }
    require(key, value, value.kind().isInteger() && value.isArray(), "an array of whole numbers");
    try (GgufInput in = at(value)) {
      in.require(value.count() * value.kind().bytes, key); // it may have become shorter since
      long[] numbers = new long[Math.toIntExact(value.count())];
      for (int i = 0; i < numbers.length; i++) {
        numbers[i] = number(in, key, value.kind());
      }
      return Optional.of(numbers);
    }
  }

  /**
   * Returns an array of whole numbers that fit ints.
   *
   * @throws IOException if the value is none, or one does not fit
   */
  public Optional<int[]> smallIntegers(String key) throws IOException {
    Optional<long[]> numbers = integers(key);
    if (numbers.isEmpty()) {
      return Optional.empty();
    }
    long[] wide = numbers.get();
    Kind kind = Objects.requireNonNull(values.get(key)).kind();
    int[] narrow = new int[wide.length];
    for (int i = 0; i < wide.length; i++) {
      requirePositiveIfUnsigned(key, kind, wide[i]);
      narrow[i] = narrow(key, wide[i]);
    }
    return Optional.of(narrow);
  }

  /** Returns how many elements an array has; nothing if there is no such key, or it is no array. */
  public OptionalLong count(String key) {
    GgufValue value = values.get(key);
    return value == null || !value.isArray()
        ? OptionalLong.empty()
        : OptionalLong.of(value.count());
  }

  private int narrow(String key, long number) throws IOException {
    if (number != (int) number) {
      throw new IOException(first + ": " + key + " has " + number + ", which is no int");
    }
    return (int) number;
  }

  private void requirePositiveIfUnsigned(String key, Kind kind, long number) throws IOException {
    if (kind == Kind.U64 && number < 0) {
      throw new IOException(
          first + ": " + key + " is " + Long.toUnsignedString(number) + ", beyond 2^63");
    }
  }

  private static long number(GgufInput in, String key, Kind kind) throws IOException {
    return switch (kind) {
      case U8 -> in.u8(key);
      case I8 -> (byte) in.u8(key);
      case U16 -> in.u16(key);
      case I16 -> (short) in.u16(key);
      case U32 -> in.u32(key);
      case I32 -> in.i32(key);
      default -> in.u64(key);
    };
  }

  private GgufInput at(GgufValue value) throws IOException {
    GgufInput in = new GgufInput(first);
    in.seek(value.at());
    return in;
  }

  private void require(String key, GgufValue value, boolean fits, String wanted)
      throws IOException {
    if (!fits) {
      throw new IOException(first + ": key " + key + " is " + value + ", not " + wanted);
    }
  }
}
