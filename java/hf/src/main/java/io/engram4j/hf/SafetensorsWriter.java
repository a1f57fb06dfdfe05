package io.engram4j.hf;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.engram4j.model.Dtype;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Writes a safetensors file of any size: first the tensors are declared, then their bytes follow in
 * that order, little-endian and row-major. One owner.
 */
public final class SafetensorsWriter implements AutoCloseable {
  private final Path file;
  private final FileChannel channel;
  private final long size;
  private boolean failed;

  /**
   * A tensor to come.
   *
   * @param name its name
   * @param dtype its element type
   * @param shape its shape
   */
  public record Declaration(String name, Dtype dtype, List<Long> shape) {
    public Declaration {
      shape = List.copyOf(shape);
    }

    /** Declares a tensor. */
    public static Declaration of(String name, Dtype dtype, long... shape) {
      return new Declaration(name, dtype, Arrays.stream(shape).boxed().toList());
    }

    /** Returns the tensor's size. */
    public long bytes() {
      return shape.stream().reduce((long) dtype.bytes(), Math::multiplyExact);
    }
  }

  /**
   * Creates the file, which must not exist, and writes its header.
   *
   * @throws IOException if it cannot be written
   */
  public SafetensorsWriter(Path file, List<Declaration> tensors) throws IOException {
    this(file, tensors, Map.of());
  }

  /** Does the same, with texts that the file says of itself. */
  public SafetensorsWriter(Path file, List<Declaration> tensors, Map<String, String> metadata)
      throws IOException {
    this.file = file;
    byte[] header = header(tensors, metadata);
    this.size =
        tensors.stream().mapToLong(Declaration::bytes).reduce(8L + header.length, Math::addExact);
    this.channel = FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
    try {
      write(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(0, header.length));
      write(ByteBuffer.wrap(header));
    } catch (Throwable e) {
      channel.close();
      throw e;
    }
  }

  /** Returns the header's JSON, padded so that the data begins at a multiple of 64 bytes. */
  private static byte[] header(List<Declaration> tensors, Map<String, String> metadata)
      throws IOException {
    Map<String, Object> entries = new LinkedHashMap<>();
    if (!metadata.isEmpty()) {
      entries.put("__metadata__", metadata);
    }
    long offset = 0;
    for (Declaration tensor : tensors) {
      long end = Math.addExact(offset, tensor.bytes());
      Map<String, Object> entry = new LinkedHashMap<>();
      entry.put("dtype", tensor.dtype().name());
      entry.put("shape", tensor.shape());
      entry.put("data_offsets", new long[] {offset, end});
      entries.put(tensor.name(), entry);
      offset = end;
    }
    byte[] json = new ObjectMapper().writeValueAsBytes(entries);
    int padded = (json.length + 8 + 63) / 64 * 64 - 8;
    byte[] header = Arrays.copyOf(json, padded);
    Arrays.fill(header, json.length, padded, " ".getBytes(StandardCharsets.US_ASCII)[0]);
    return header;
  }

  /**
   * Writes the next bytes of data.
   *
   * @throws IOException if they cannot be written, such as when the disk is full
   */
  public void write(ByteBuffer bytes) throws IOException {
    failed = true; // until all is written
    while (bytes.hasRemaining()) {
      channel.write(bytes);
    }
    failed = false;
  }

  /**
   * Leaves the rest of the data as a hole that reads as zeros, where the file system has holes.
   *
   * @throws IOException if the file cannot be extended
   */
  public void fillWithHole() throws IOException {
    if (channel.position() < size) {
      channel.write(ByteBuffer.allocate(1), size - 1);
      channel.position(size);
    }
  }

  /**
   * Forces the file to disk.
   *
   * @throws IOException if that fails, or if not all declared bytes were written
   */
  @Override
  public void close() throws IOException {
    try (channel) {
      if (!failed && channel.position() != size) {
        throw new IOException(
            file
                + " was declared with "
                + size
                + " bytes, but "
                + channel.position()
                + " were written");
      }
      channel.force(true);
    }
  }
}
