package io.engram4j.hf;

import io.engram4j.gguf.GgufFile;
import io.engram4j.gguf.GgufTensor;
import io.engram4j.model.LayerLayout;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;

/**
 * The metadata of a GGUF file under the several names that files have for one thing: each is
 * accepted, and never two that disagree. Messages name file and key.
 */
final class GgufKeys {
  private final GgufFile file;
  private final String prefix;

  /** Keys that begin with a text, such as {@code deepseek41.engram.}. */
  GgufKeys(GgufFile file, String prefix) {
    this.file = file;
    this.prefix = prefix;
  }

  boolean has(String... names) {
    return Arrays.stream(names).anyMatch(name -> file.keys().contains(prefix + name));
  }

  /** Reads a value. */
  @FunctionalInterface
  private interface Reading<T> {
    Optional<T> of(String key) throws IOException;
  }

  private <T> Optional<T> only(Reading<T> reading, String... names) throws IOException {
    String first = null;
    T found = null;
    for (String name : names) {
      Optional<T> value = reading.of(prefix + name);
      if (value.isEmpty()) {
        continue;
      }
      if (found != null && !Arrays.deepEquals(new Object[] {found}, new Object[] {value.get()})) {
        throw wrong(prefix + first + " and " + prefix + name + " disagree");
      }
      first = first == null ? name : first;
      found = value.get();
    }
    return Optional.ofNullable(found);
  }

  private IOException missing(String... names) {
    return wrong("no key " + prefix + String.join(" nor " + prefix, names));
  }

  IOException wrong(String what) {
    return new IOException(file.file() + ": " + what);
  }

  OptionalInt optional(String... names) throws IOException {
    Optional<Integer> value = only(key -> boxed(file.smallInteger(key)), names);
    return value.isPresent() ? OptionalInt.of(value.get()) : OptionalInt.empty();
  }

  private static Optional<Integer> boxed(OptionalInt value) {
    return value.isPresent() ? Optional.of(value.getAsInt()) : Optional.empty();
  }

  int integer(String... names) throws IOException {
    OptionalInt value = optional(names);
    if (value.isEmpty()) {
      throw missing(names);
    }
    return value.getAsInt();
  }

  double number(String name) throws IOException {
    return file.number(prefix + name).orElseThrow(() -> missing(name));
  }

  long @Nullable [] optionalLongs(String... names) throws IOException {
    return only(file::integers, names).orElse(null);
  }

  long[] longs(String... names) throws IOException {
    long[] values = optionalLongs(names);
    if (values == null) {
      throw missing(names);
    }
    return values;
  }

  int[] integers(String... names) throws IOException {
    return only(file::smallIntegers, names).orElseThrow(() -> missing(names));
  }

  /** Returns an array of as many numbers as there must be. */
  long[] longs(int count, String... names) throws IOException {
    long[] values = longs(names);
    if (values.length != count) {
      throw wrong(
          prefix + names[0] + " has " + values.length + " numbers, but there must be " + count);
    }
    return values;
  }

  /** Returns layer ids, of which none stands twice or lies beyond the model's blocks. */
  List<Integer> layers(int blocks, String... names) throws IOException {
    List<Integer> layers = new ArrayList<>();
    for (int id : integers(names)) {
      if (id < 0 || id >= blocks) {
        throw wrong(prefix + names[0] + " has layer " + id + ", but the model has " + blocks);
      }
      if (layers.contains(id)) {
        throw wrong(prefix + names[0] + " has layer " + id + " twice");
      }
      layers.add(id);
    }
    if (layers.isEmpty()) {
      throw wrong(prefix + names[0] + " is empty");
    }
    return layers;
  }

  /** Returns the tensor that has one of some names. */
  GgufTensor tensor(String... names) throws IOException {
    for (String name : names) {
      GgufTensor tensor = file.tensors().get(name);
      if (tensor != null) {
        return tensor;
      }
    }
    throw wrong("no tensor " + String.join(" nor ", names));
  }

  /**
   * Checks the shape of a tensor with rows, which may be more than the layout reaches.
   *
   * @param isType whether its type is one of rows
   */
  void requireTable(GgufTensor tensor, long width, LayerLayout layout, boolean isType)
      throws IOException {
    if (!isType || tensor.width() != width || tensor.rows() < layout.rows()) {
      throw wrong(
          "tensor "
              + tensor.name()
              + " has "
              + tensor.rows()
              + " rows of "
              + tensor.width()
              + " "
              + tensor.type()
              + ", but the metadata gives "
              + layout.rows()
              + " of "
              + width);
    }
  }
}
