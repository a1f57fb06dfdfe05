package io.engram4j.gguf;

import io.engram4j.gguf.GgufValue.Kind;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What stands before the data of one file. Reads strictly: what is doubled, nested, out of range,
 * or does not fit the file is refused, before anything is allocated for it.
 */
final class GgufHeader {
  static final String ALIGNMENT = "general.alignment";
  private static final int MAGIC = 0x46554747; // "GGUF"
  private static final int MOST_KEY = 65_535;
  private static final int MOST_NAME = 63;
  private static final int MOST_DIMS = 4;
  private static final long MOST_ALIGNMENT = 1 << 30;
  private static final long MOST_ELEMENTS = 1 << 30;

  /** Of a key of one character with a value of one byte. */
  private static final int LEAST_ENTRY = 8 + 1 + 4 + 1;

  /** Of a tensor of one dimension with a name of one character. */
  private static final int LEAST_TENSOR = 8 + 1 + 4 + 8 + 4 + 8;

  private final Path file;
  private final GgufInput in;
  private final Map<String, GgufValue> values = new LinkedHashMap<>();
  private final Map<String, GgufTensor> tensors = new LinkedHashMap<>();
  private long alignment = 32;

  private GgufHeader(Path file, GgufInput in) {
    this.file = file;
    this.in = in;
  }

  /** Reads the header of a file. */
  static GgufHeader read(Path file) throws IOException {
    try (GgufInput in = new GgufInput(file)) {
      GgufHeader header = new GgufHeader(file, in);
      header.parse();
      return header;
    }
  }

  Map<String, GgufValue> values() {
    return values;
  }

  Map<String, GgufTensor> tensors() {
    return tensors;
  }

  private IOException refused(String why) {
    return new IOException(file + ": " + why);
  }

  private void parse() throws IOException {
    requireGguf();
    long tensorCount = in.u64("the number of tensors");
    long valueCount = in.u64("the number of keys");
    requireCount("keys", valueCount, LEAST_ENTRY);
    for (long i = 0; i < valueCount; i++) {
      entry();
    }
    requireCount("tensors", tensorCount, LEAST_TENSOR);
    List<Declared> declared = new ArrayList<>();
    for (long i = 0; i < tensorCount; i++) {
      declared.add(tensor());
    }
    place(declared);
  }

  private void requireGguf() throws IOException {
    if (in.size() < 4 || in.i32("the magic") != MAGIC) {
      in.seek(0);
      String start = in.size() < 8 ? "" : ascii(in);
      throw refused(
          start.equals("version ")
              ? "is a Git LFS pointer, not the file itself: run git lfs pull where it is from"
              : "is no GGUF file");
    }
    int version = in.i32("the version");
    if ((version & 0xffff) == 0 && version != 0) {
      throw refused("is a big-endian GGUF file; only little-endian ones are read");
    }
    if (version != 2 && version != 3) {
      throw refused("is GGUF of version " + Integer.toUnsignedString(version) + ", not 2 or 3");
    }
  }

  private static String ascii(GgufInput in) throws IOException {
    byte[] start = new byte[8];
    for (int i = 0; i < start.length; i++) {
      start[i] = (byte) in.u8("the start");
    }
    return new String(start, StandardCharsets.ISO_8859_1);
  }

  private void requireCount(String what, long count, int least) throws IOException {
    if (count < 0 || count > in.left() / least) {
      throw refused(
          "says that it has "
              + Long.toUnsignedString(count)
              + " "
              + what
              + ", but only "
              + in.left()
              + " bytes are left for them");
    }
  }

  private void entry() throws IOException {
    String key = in.text(MOST_KEY, "a key");
    requirePrintable("key", key);
    Kind kind = kind(key);
    GgufValue value;
    if (kind == Kind.ARRAY) {
      Kind elements = kind(key);
      if (elements == Kind.ARRAY) {
        throw refused("key " + key + " is an array of arrays");
      }
      long count = in.u64("the length of " + key);
      requireCount("elements in " + key, count, elements == Kind.STRING ? 8 : elements.bytes);
      if (count > MOST_ELEMENTS) {
        throw refused("key " + key + " has " + count + " elements, at most " + MOST_ELEMENTS);
      }
      value = new GgufValue(elements, count, in.position());
      skipElements(key, elements, count);
    } else {
      value = new GgufValue(kind, -1, in.position());
      skipElements(key, kind, 1);
    }
    if (values.put(key, value) != null) {
      throw refused("key " + key + " is there twice");
    }
    if (key.equals(ALIGNMENT)) {
      alignment(value);
    }
  }

  private Kind kind(String key) throws IOException {
    long number = in.u32("the type of " + key);
    Kind kind = Kind.of(number);
    if (kind == null) {
      throw refused("key " + key + " has a value of type " + number + ", which is none of 0 to 12");
    }
    return kind;
  }

  private void skipElements(String key, Kind kind, long count) throws IOException {
    switch (kind) {
      case STRING -> {
        for (long i = 0; i < count; i++) {
          in.skip(in.u64("a text of " + key), "a text of " + key);
        }
      }
      case BOOL -> {
        for (long i = 0; i < count; i++) {
          int value = in.u8(key);
          if (value > 1) {
            throw refused("key " + key + " has a bool of " + value);
          }
        }
      }
      default -> in.skip(count * kind.bytes, key); // whose count was held to the bytes left
    }
  }

  private void alignment(GgufValue value) throws IOException {
    if (value.kind() != Kind.U32 || value.isArray()) {
      throw refused(ALIGNMENT + " is " + value + ", not u32");
    }
    in.seek(value.at());
    alignment = in.u32(ALIGNMENT);
    boolean power = Long.bitCount(alignment) == 1;
    if (!power || alignment < 8 || alignment > MOST_ALIGNMENT) {
      throw refused(
          ALIGNMENT + " is " + alignment + ", no power of two from 8 to " + MOST_ALIGNMENT);
    }
  }

  /** What a header says of a tensor, with its offset from the start of the data. */
  private record Declared(String name, GgmlType type, List<Long> dims, long offset, long bytes) {}

  private Declared tensor() throws IOException {
    String name = in.text(MOST_NAME, "a tensor's name");
    requirePrintable("tensor", name);
    long count = in.u32("the dimensions of " + name);
    if (count < 1 || count > MOST_DIMS) {
      throw refused("tensor " + name + " has " + count + " dimensions, not 1 to " + MOST_DIMS);
    }
    List<Long> dims = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      long dim = in.u64("a dimension of " + name);
      if (dim < 1) {
        throw refused("tensor " + name + " has a dimension of " + Long.toUnsignedString(dim));
      }
      dims.add(dim);
    }
    int id = in.i32("the type of " + name);
    GgmlType type = GgmlType.ofId(id);
    if (type == null) {
      throw refused(
          "tensor "
              + name
              + " has type "
              + GgmlType.nameOf(id)
              + "; known are "
              + List.of(GgmlType.values()));
    }
    return new Declared(name, type, dims, in.u64("the offset of " + name), bytes(name, type, dims));
  }

  private long bytes(String name, GgmlType type, List<Long> dims) throws IOException {
    if (dims.getFirst() % type.blockElements() != 0) {
      throw refused(
          "tensor "
              + name
              + " of type "
              + type
              + " has rows of "
              + dims.getFirst()
              + " elements, no multiple of "
              + type.blockElements());
    }
    try {
      long elements = dims.stream().reduce(1L, Math::multiplyExact);
      return Math.multiplyExact(elements / type.blockElements(), (long) type.blockBytes());
    } catch (ArithmeticException e) {
      throw new IOException(
          file + ": tensor " + name + " of " + dims + " elements is larger than 2^63 bytes", e);
    }
  }

  private void place(List<Declared> declared) throws IOException {
    long data = roundUp(in.position());
    for (Declared each : declared) {
      if (each.offset < 0 || each.offset % alignment != 0) {
        throw refused(
            "tensor "
                + each.name
                + " begins at "
                + Long.toUnsignedString(each.offset)
                + ", no multiple of the alignment "
                + alignment);
      }
      if (data > in.size() - each.bytes || each.offset > in.size() - each.bytes - data) {
        throw refused(
            "tensor "
                + each.name
                + " of "
                + each.bytes
                + " bytes at "
                + each.offset
                + " behind "
                + data
                + " does not lie in the file of "
                + in.size()
                + " bytes");
      }
      long offset = data + each.offset;
      GgufTensor tensor = new GgufTensor(each.name, each.type, each.dims, file, offset, each.bytes);
      if (tensors.put(each.name, tensor) != null) {
        throw refused("tensor " + each.name + " is there twice");
      }
    }
    requireApart();
  }

  private void requireApart() throws IOException {
    List<GgufTensor> sorted =
        tensors.values().stream().sorted(Comparator.comparingLong(GgufTensor::offset)).toList();
    for (int i = 1; i < sorted.size(); i++) {
      GgufTensor before = sorted.get(i - 1);
      GgufTensor next = sorted.get(i);
      if (before.offset() + before.bytes() > next.offset()) {
        throw refused(
            "tensor "
                + before.name()
                + " ends at "
                + (before.offset() + before.bytes())
                + ", but tensor "
                + next.name()
                + " begins at "
                + next.offset());
      }
    }
  }

  private long roundUp(long position) {
    return (position + alignment - 1) / alignment * alignment; // both are far below 2^62
  }

  private void requirePrintable(String what, String name) throws IOException {
    boolean printable = !name.isEmpty() && name.chars().allMatch(c -> c > ' ' && c < 0x7f);
    if (!printable) {
      StringBuilder escaped = new StringBuilder();
      name.chars()
          .limit(100)
          .forEach(c -> {
            if (c > ' ' && c < 0x7f) {
              escaped.append((char) c);
            } else {
              escaped.append(String.format("\\u%04x", c));
            }
          });
      throw refused("a " + what + " is called '" + escaped + "', which is no name in ASCII");
    }
  }
}
