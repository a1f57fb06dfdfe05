package io.engram4j.hf;

import java.nio.file.Path;
import java.util.List;

/**
 * A tensor as a safetensors header describes it.
 *
 * @param name the tensor's name
 * @param dtype its element type, as the file spells it
 * @param shape its shape
 * @param file the file that holds it
 * @param offset its first byte in that file
 * @param bytes its size
 */
public record TensorInfo(
    String name, String dtype, List<Long> shape, Path file, long offset, long bytes) {
  public TensorInfo {
    shape = List.copyOf(shape);
  }
}
