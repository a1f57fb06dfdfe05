package io.engram4j.hf;

import io.engram4j.model.Dtype;
import io.engram4j.table.RowType;
import io.engram4j.weights.Linear;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** The tensors of one layer that are there and fit, and what is wrong with the others. */
final class FoundTensors {
  private static final Set<Dtype> SCALE = Set.of(Dtype.F8_E8M0);

  private final String prefix;
  private final ShardIndex index;
  private final Map<String, TensorInfo> found = new LinkedHashMap<>();
  private final List<String> problems = new ArrayList<>();
  private boolean maps = true;

  FoundTensors(String prefix, ShardIndex index) {
    this.prefix = prefix;
    this.index = index;
  }

  /** Returns what is missing or wrong, empty if nothing is. */
  List<String> problems() {
    return problems;
  }

  void problem(String what) {
    problems.add(what);
  }

  /** Returns the tensors in the order in which they were wanted. */
  List<TensorInfo> all() {
    return List.copyOf(found.values());
  }

  /** Looks for a tensor, and for its scales if its type has them beside. */
  void find(WantedTensor wanted) {
    find(wanted.name(), wanted.types(), wanted.shape());
    WantedTensor.Scale scale = wanted.scale();
    if (scale == null) {
      return;
    }
    TensorInfo info = found.get(wanted.name());
    if (info == null || rowType(info).hasScalesBeside()) {
      find(scale.name(), SCALE, scale.shape());
    } else if (index.has(prefix + scale.name())) {
      problems.add(prefix + scale.name() + " is there, but " + info.name() + " is " + info.dtype());
    }
  }

  /** Returns a tensor, if it is there, without wanting it. */
  @Nullable TensorInfo peek(String name) {
    return index.find(prefix + name, new ArrayList<>());
  }

  /** Returns whether there is a tensor. */
  boolean has(String name) {
    return index.has(prefix + name) || peek(name) != null;
  }

  /** Returns the names of the layer's tensors that begin with a text, without the prefix. */
  List<String> names(String start) {
    return index.names(prefix + start).stream()
        .map(name -> name.substring(prefix.length()))
        .toList();
  }

  /** Looks for a tensor of any type and shape. */
  @Nullable TensorInfo find(String name) {
    TensorInfo info = index.find(prefix + name, problems);
    if (info != null) {
      found.put(name, info);
    }
    return info;
  }

  /** Looks for a tensor of a type that only rows have; returns null if it is not as wanted. */
  @Nullable TensorInfo find(String name, String dtype, List<Long> shape) {
    TensorInfo info = index.find(prefix + name, problems);
    if (info == null) {
      return null;
    }
    if (!info.dtype().equals(dtype)) {
      problems.add(info.name() + " has type " + info.dtype() + ", not " + dtype);
      return null;
    }
    if (!info.shape().equals(shape)) {
      problems.add(
          info.name() + " has shape " + info.shape() + ", but the configuration gives " + shape);
      return null;
    }
    found.put(name, info);
    return info;
  }

  private void find(String name, Set<Dtype> types, List<Long> shape) {
    TensorInfo info = index.find(prefix + name, problems);
    if (info == null) {
      return;
    }
    Dtype dtype = SafetensorsFile.dtype(info.dtype());
    if (dtype == null || !types.contains(dtype)) {
      problems.add(info.name() + " has type " + info.dtype() + ", not one of " + types);
    } else if (!info.shape().equals(shape)) {
      problems.add(
          info.name() + " has shape " + info.shape() + ", but the configuration gives " + shape);
    } else {
      found.put(name, info);
    }
  }

  /** Says whether {@link #linear} maps weights or reads them. */
  FoundTensors mapping(boolean allowed) {
    maps = allowed;
    return this;
  }

  /** Returns a tensor that was found. */
  TensorInfo get(String name) {
    return Objects.requireNonNull(found.get(name), name);
  }

  /** Returns how the elements of a tensor of rows or weights are stored. */
  static RowType rowType(TensorInfo info) {
    return RowType.of(info.name(), Objects.requireNonNull(SafetensorsFile.dtype(info.dtype())));
  }

  /** Reads a small tensor of whole numbers. */
  long[] longs(String name) throws IOException {
    return TensorData.longs(get(name));
  }

  /** Reads a small tensor. */
  float[] floats(String name) throws IOException {
    return TensorData.floats(get(name));
  }

  /**
   * Maps a weight, with its scales if it has any.
   *
   * @param bias the name of its bias, or null
   */
  Linear linear(ScaledName names, @Nullable String bias, Arena arena) throws IOException {
    TensorInfo info = get(names.weight());
    RowType type = rowType(info);
    String scale = names.scale();
    MemorySegment scales =
        scale != null && type.hasScalesBeside() ? SafetensorsFile.read(get(scale), arena) : null;
    int outputs = Math.toIntExact(info.shape().getFirst());
    int inputs = Math.toIntExact(info.shape().getLast());
    float[] biases = bias == null ? null : floats(bias);
    if (maps) {
      MemorySegment mapped = SafetensorsFile.map(info, arena);
      return new Linear(info.name(), outputs, inputs, type, mapped, scales, biases);
    }
    Supplier<MemorySegment> load = new WeightReader(info, arena);
    return Linear.loaded(info.name(), outputs, inputs, type, load, info.bytes(), scales, biases);
  }
}
