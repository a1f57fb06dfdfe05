package io.engram4j.hf;

import com.fasterxml.jackson.databind.JsonNode;
import io.engram4j.host.Printable;
import io.engram4j.host.RegularFiles;
import io.engram4j.model.Dtype;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The header of one safetensors file, read and checked; the data is mapped tensor by tensor. The
 * header is a 64-bit length, that many bytes of JSON, then the data, in which each tensor is a
 * contiguous little-endian row-major range at any alignment. Immutable.
 */
public final class SafetensorsFile {
  /** The bound that the format itself sets. */
  private static final long MAX_HEADER = 100_000_000;

  private static final long PIECE = 1 << 26;

  private final Path path;
  private final Map<String, TensorInfo> tensors;
  private final Map<String, String> metadata;

  private SafetensorsFile(
      Path path, Map<String, TensorInfo> tensors, Map<String, String> metadata) {
    this.path = path;
    this.tensors = tensors;
    this.metadata = metadata;
  }

  /**
   * Reads a file's header.
   *
   * @throws IOException naming the file and what is wrong: not a file, a header longer than the
   *     file or than 100,000,000 bytes, broken JSON, a tensor that reaches beyond the file,
   *     overlaps another, or whose size is not that of its shape
   */
  public static SafetensorsFile open(Path path) throws IOException {
    try (FileChannel channel = RegularFiles.read(path)) {
      long size = channel.size();
      if (size < 8) {
        throw new IOException(path + " has " + size + " bytes, too few for a safetensors header");
      }
      long length = read(channel, path, 0, 8).getLong(0);
      if (length < 2 || length > size - 8) {
        throw new IOException(
            path
                + " says its header has "
                + Long.toUnsignedString(length)
                + " bytes, but the file has "
                + size);
      }
      if (length > MAX_HEADER) {
        throw new IOException(
            path
                + " has a header of "
                + length
                + " bytes; more than "
                + MAX_HEADER
                + " are not allowed");
      }
      byte[] json = read(channel, path, 8, (int) length).array();
      JsonNode header = Json.parseObject("the header of " + path, json);
      Map<String, String> metadata = new LinkedHashMap<>();
      for (Map.Entry<String, JsonNode> entry : header.path("__metadata__").properties()) {
        metadata.put(entry.getKey(), entry.getValue().asText());
      }
      return new SafetensorsFile(path, tensors(path, header, 8 + length, size), metadata);
    }
  }

  private static ByteBuffer read(FileChannel channel, Path path, long at, int count)
      throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(count).order(ByteOrder.LITTLE_ENDIAN);
    while (buffer.hasRemaining()) {
      if (channel.read(buffer, at + buffer.position()) < 0) {
        throw new IOException(path + " ends within its header");
      }
    }
    return buffer;
  }

  private static Map<String, TensorInfo> tensors(
      Path path, JsonNode header, long dataStart, long fileSize) throws IOException {
    Map<String, TensorInfo> tensors = new LinkedHashMap<>();
    for (Map.Entry<String, JsonNode> entry : header.properties()) {
      if (!entry.getKey().equals("__metadata__")) {
        TensorInfo tensor =
            tensor(path, Printable.of(entry.getKey()), entry.getValue(), dataStart, fileSize);
        tensors.put(tensor.name(), tensor);
      }
    }
    List<TensorInfo> ordered = new ArrayList<>(tensors.values());
    ordered.sort(Comparator.comparingLong(TensorInfo::offset));
    TensorInfo before = null;
    for (TensorInfo tensor : ordered) {
      if (tensor.bytes() == 0) {
        continue;
      }
      if (before != null && before.offset() + before.bytes() > tensor.offset()) {
        throw new IOException(
            path
                + ": tensor "
                + tensor.name()
                + " begins at byte "
                + tensor.offset()
                + ", but "
                + before.name()
                + " ends at "
                + (before.offset() + before.bytes()));
      }
      before = tensor;
    }
    return tensors;
  }

  private static TensorInfo tensor(
      Path path, String name, JsonNode node, long dataStart, long fileSize) throws IOException {
    String what = path + ": tensor " + name;
    JsonNode dtype = node.path("dtype");
    JsonNode offsets = node.path("data_offsets");
    JsonNode dimensions = node.path("shape");
    if (!dtype.isTextual()
        || !dimensions.isArray()
        || offsets.size() != 2
        || !offsets.path(0).canConvertToLong()
        || !offsets.path(1).canConvertToLong()) {
      throw new IOException(what + " lacks dtype, shape or two data_offsets");
    }
    if (dimensions.size() > 16) {
      throw new IOException(what + " has " + dimensions.size() + " dimensions");
    }
    List<Long> shape = new ArrayList<>();
    for (JsonNode dimension : dimensions) {
      if (!dimension.isIntegralNumber()
          || !dimension.canConvertToLong()
          || dimension.longValue() < 0) {
        throw new IOException(what + " has the impossible shape " + shown(dimensions));
      }
      shape.add(dimension.longValue());
    }
    long begin = offsets.get(0).longValue();
    long end = offsets.get(1).longValue();
    if (!offsets.get(0).isIntegralNumber()
        || !offsets.get(1).isIntegralNumber()
        || begin < 0
        || end < begin) {
      throw new IOException(what + " has the impossible data_offsets " + shown(offsets));
    }
    if (end > fileSize - dataStart) {
      throw new IOException(
          what
              + " ends at byte "
              + end
              + " of the data, but the file has only "
              + (fileSize - dataStart)
              + "; is it truncated?");
    }
    checkBytes(what, dtype.textValue(), shape, end - begin);
    return new TensorInfo(name, dtype.textValue(), shape, path, dataStart + begin, end - begin);
  }

  private static String shown(JsonNode node) {
    String text = Printable.of(node.toString());
    return text.length() <= 80 ? text : text.substring(0, 80) + "...";
  }

  private static void checkBytes(String what, String dtype, List<Long> shape, long bytes)
      throws IOException {
    Dtype known = dtype(dtype);
    if (known == null && !dtype.equals("U32")) {
      return; // tensors of other parts of the model may have types that are none of our business
    }
    long expected = known == null ? 4 : known.bytes();
    try {
      for (long dimension : shape) {
        expected = Math.multiplyExact(expected, dimension);
      }
    } catch (ArithmeticException e) {
      throw new IOException(what + " of shape " + shape + " has more than 2^63 bytes", e);
    }
    if (expected != bytes) {
      throw new IOException(
          what
              + " has "
              + bytes
              + " bytes, but "
              + dtype
              + " of shape "
              + shape
              + " takes "
              + expected);
    }
  }

  /** Returns the element type of that name, or null for one that Engram tensors never have. */
  static @Nullable Dtype dtype(String name) {
    for (Dtype dtype : Dtype.values()) {
      if (dtype.name().equals(name)) {
        return dtype;
      }
    }
    return name.equals("U8") ? Dtype.F8_E8M0 : null; // some writers have no name for scales
  }

  /** Returns the file. */
  public Path path() {
    return path;
  }

  /** Returns the tensors by name, in the order of the header. */
  public Map<String, TensorInfo> tensors() {
    return java.util.Collections.unmodifiableMap(tensors);
  }

  /** Returns the texts that the file says of itself. */
  public Map<String, String> metadata() {
    return java.util.Collections.unmodifiableMap(metadata);
  }

  /**
   * Maps a tensor's bytes, read-only; where the file system maps no files they are read instead.
   *
   * @param arena the memory ends when it is closed
   * @throws IOException if the file cannot be opened or has shrunk since its header was read
   */
  public static MemorySegment map(TensorInfo tensor, Arena arena) throws IOException {
    try (FileChannel channel = open(tensor)) {
      try {
        return channel.map(MapMode.READ_ONLY, tensor.offset(), tensor.bytes(), arena);
      } catch (IOException | UnsupportedOperationException e) {
        return read(channel, tensor, arena);
      }
    }
  }

  /**
   * Reads a tensor's bytes into memory of its own.
   *
   * @param arena the memory ends when it is closed
   * @throws IOException if the file cannot be read or has shrunk since its header was read
   */
  public static MemorySegment read(TensorInfo tensor, Arena arena) throws IOException {
    try (FileChannel channel = open(tensor)) {
      return read(channel, tensor, arena);
    }
  }

  private static MemorySegment read(FileChannel channel, TensorInfo tensor, Arena arena)
      throws IOException {
    MemorySegment bytes = arena.allocate(tensor.bytes(), 64);
    for (long at = 0; at < bytes.byteSize(); at += PIECE) {
      long count = Math.min(PIECE, bytes.byteSize() - at);
      ByteBuffer piece = bytes.asSlice(at, count).asByteBuffer();
      while (piece.hasRemaining()) {
        if (channel.read(piece, tensor.offset() + at + piece.position()) < 0) {
          throw new IOException(tensor.file() + " ends within tensor " + tensor.name());
        }
      }
    }
    return bytes;
  }

  private static FileChannel open(TensorInfo tensor) throws IOException {
    FileChannel channel = RegularFiles.read(tensor.file());
    long end = tensor.offset() + tensor.bytes();
    try {
      long size = channel.size();
      if (size < end) {
        throw new IOException(
            tensor.file()
                + " has "
                + size
                + " bytes, but tensor "
                + tensor.name()
                + " ends at "
                + end);
      }
      return channel;
    } catch (Throwable e) {
      channel.close();
      throw e;
    }
  }
}
