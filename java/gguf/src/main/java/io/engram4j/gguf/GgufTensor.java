package io.engram4j.gguf;

import java.nio.file.Path;
import java.util.List;

/**
 * A tensor and where it lies.
 *
 * @param name its name
 * @param type how its elements are stored
 * @param dims its dimensions, the fastest first: a table of rows is [width, rows]
 * @param file the part that it is in
 * @param offset of its first byte in that file
 * @param bytes how many it takes
 */
public record GgufTensor(
    String name, GgmlType type, List<Long> dims, Path file, long offset, long bytes) {
  public GgufTensor {
    dims = List.copyOf(dims);
  }

  /** Returns the length of the fastest dimension. */
  public long width() {
    return dims.getFirst();
  }

  /** Returns the product of all other dimensions. */
  public long rows() {
    return dims.stream().skip(1).reduce(1L, Math::multiplyExact);
  }

  /** Returns the bytes of a row. */
  public long rowBytes() {
    return width() / type.blockElements() * type.blockBytes();
  }
}
