package io.engram4j.hf;

import io.engram4j.gguf.GgmlType;
import io.engram4j.gguf.GgufTensor;
import io.engram4j.kernel.java.JavaRows;
import io.engram4j.model.EngramConfig;
import io.engram4j.table.RowType;
import io.engram4j.table.Table;
import io.engram4j.table.io.TableFile;
import io.engram4j.weights.ConvWeights;
import io.engram4j.weights.GateWeights;
import io.engram4j.weights.LayerWeights;
import io.engram4j.weights.Linear;
import io.engram4j.weights.Projection;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * The tensors of one layer in a GGUF file, under whatever names a dialect has for them. Weights
 * stay as they are stored and are decoded where they are used.
 */
final class GgufLayer implements Opening.Layer {
  private final TableFile table;
  private final List<GgufTensor> projections;
  private final Gate gate;
  private final @Nullable Conv conv;
  private final EngramConfig config;

  /** The gate's tensors, [branches, hidden] each, and what a zero means. */
  record Gate(GgufTensor query, GgufTensor key, GateWeights.ZeroRule rule) {}

  /** The convolution's tensors: [channels, taps] and [channels]. */
  record Conv(GgufTensor taps, GgufTensor norm) {}

  /**
   * A layer.
   *
   * @param projections side by side: keys, then the value
   * @throws IOException if a tensor has another shape than the configuration gives, or a type that
   *     is not supported
   */
  GgufLayer(
      EngramConfig config,
      TableFile table,
      List<GgufTensor> projections,
      Gate gate,
      @Nullable Conv conv)
      throws IOException {
    this.config = config;
    this.table = table;
    this.projections = projections;
    this.gate = gate;
    this.conv = conv;
    long outputs = 0;
    for (GgufTensor tensor : projections) {
      requireShape(tensor, tensor.rows(), config.rowWidth());
      outputs += tensor.rows();
      rowType(tensor);
    }
    if (outputs != config.kvWidth()) {
      throw new IOException(
          projections.getFirst().file()
              + ": "
              + names()
              + " have "
              + outputs
              + " outputs, but the configuration gives "
              + config.kvWidth());
    }
    if (projections.size() == 2) { // keys, then the value
      requireShape(projections.getLast(), config.hiddenSize(), config.rowWidth());
    }
    requireFloats(gate.query, config.streamWidth());
    requireFloats(gate.key, config.streamWidth());
    if (conv != null) {
      requireShape(conv.taps, config.streamWidth(), config.convKernel());
      requireFloats(conv.norm, config.streamWidth());
    }
  }

  private String names() {
    return String.join(" and ", projections.stream().map(GgufTensor::name).toList());
  }

  /** Returns how elements are stored, or refuses the type by its name. */
  static RowType rowType(GgufTensor tensor) throws IOException {
    for (RowType type : RowType.values()) {
      if (type.name().equals(tensor.type().name())
          && type.blockElements() == tensor.type().blockElements()
          && type.blockBytes() == tensor.type().blockBytes()) {
        return type;
      }
    }
    List<RowType> known = Arrays.stream(RowType.values()).filter(GgufLayer::isOfGgml).toList();
    throw new IOException(
        tensor.file()
            + ": tensor "
            + tensor.name()
            + " has type "
            + tensor.type()
            + ", which is not supported; supported are "
            + known);
  }

  private static boolean isOfGgml(RowType type) {
    return Arrays.stream(GgmlType.values()).anyMatch(ggml -> ggml.name().equals(type.name()));
  }

  private static void requireShape(GgufTensor tensor, long rows, long width) throws IOException {
    if (tensor.width() != width || tensor.rows() != rows) {
      throw new IOException(
          tensor.file()
              + ": tensor "
              + tensor.name()
              + " has dimensions "
              + tensor.dims()
              + ", but the configuration gives "
              + List.of(width, rows));
    }
  }

  private static void requireFloats(GgufTensor tensor, long count) throws IOException {
    if (tensor.width() * tensor.rows() != count) {
      throw new IOException(
          tensor.file()
              + ": tensor "
              + tensor.name()
              + " has dimensions "
              + tensor.dims()
              + ", but the configuration gives "
              + count
              + " numbers");
    }
    rowType(tensor);
  }

  @Override
  public TableFile tableFile() {
    return table;
  }

  @Override
  public long rows() {
    return table.rows();
  }

  /** Returns the tensors beside the table. */
  List<TensorInfo> tensors() {
    List<GgufTensor> all = new ArrayList<>(projections);
    all.add(gate.query);
    all.add(gate.key);
    if (conv != null) {
      all.add(conv.taps);
      all.add(conv.norm);
    }
    return all.stream().map(GgufLayer::info).toList();
  }

  /** Describes a tensor as safetensors has them, the slowest dimension first. */
  static TensorInfo info(GgufTensor tensor) {
    List<Long> shape = tensor.dims().reversed();
    return new TensorInfo(
        tensor.name(), tensor.type().name(), shape, tensor.file(), tensor.offset(), tensor.bytes());
  }

  @Override
  public LayerWeights load(Table opened, boolean maps, Arena arena) throws IOException {
    List<Linear> parts = new ArrayList<>();
    for (GgufTensor tensor : projections) {
      parts.add(linear(tensor, maps, arena));
    }
    GateWeights gates =
        new GateWeights(
            config.branches(),
            config.hiddenSize(),
            floats(gate.query),
            floats(gate.key),
            config.normEps(),
            gate.rule);
    ConvWeights convolution =
        conv == null
            ? null
            : new ConvWeights(
                config.branches(),
                config.hiddenSize(),
                config.convKernel(),
                config.convDilation(),
                floats(conv.taps),
                floats(conv.norm),
                config.normEps());
    return new LayerWeights(opened, new Projection(parts), gates, convolution);
  }

  private static Linear linear(GgufTensor tensor, boolean maps, Arena arena) throws IOException {
    TensorInfo info = info(tensor);
    RowType type = rowType(tensor);
    int outputs = Math.toIntExact(tensor.rows());
    int inputs = Math.toIntExact(tensor.width());
    if (maps) {
      MemorySegment mapped = SafetensorsFile.map(info, arena);
      return new Linear(info.name(), outputs, inputs, type, mapped, null, null);
    }
    Supplier<MemorySegment> load = new WeightReader(info, arena);
    return Linear.loaded(info.name(), outputs, inputs, type, load, info.bytes(), null, null);
  }

  /** Reads a small tensor of any type. */
  private static float[] floats(GgufTensor tensor) throws IOException {
    RowType type = rowType(tensor);
    int width = Math.toIntExact(tensor.width());
    int rows = Math.toIntExact(tensor.rows());
    double[] values = new double[Math.multiplyExact(rows, width)];
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment data = SafetensorsFile.read(info(tensor), arena);
      for (int row = 0; row < rows; row++) {
        JavaRows.weights(type).decode(data, row * tensor.rowBytes(), 0, width, values, row * width);
      }
    }
    float[] narrow = new float[values.length];
    for (int i = 0; i < narrow.length; i++) {
      narrow[i] = (float) values[i];
    }
    return narrow;
  }
}
