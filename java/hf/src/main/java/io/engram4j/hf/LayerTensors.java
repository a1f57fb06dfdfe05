package io.engram4j.hf;

import io.engram4j.model.Dtype;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.EngramConfig.Variant;
import io.engram4j.table.Table;
import io.engram4j.table.io.PackedFile;
import io.engram4j.table.io.TableFile;
import io.engram4j.table.io.TableFile.Region;
import io.engram4j.weights.ConvWeights;
import io.engram4j.weights.GateWeights;
import io.engram4j.weights.GateWeights.ZeroRule;
import io.engram4j.weights.LayerWeights;
import io.engram4j.weights.Linear;
import io.engram4j.weights.Projection;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The tensors of one layer: which there must be, under which names and with which shapes, for each
 * variant (specification, section 1), and how they become weights.
 */
final class LayerTensors {
  private static final double CONV_EPS = 1e-5;
  private static final Set<Dtype> FLOATS = EnumSet.of(Dtype.F32, Dtype.BF16, Dtype.F16);
  private static final Set<Dtype> SCALE = EnumSet.of(Dtype.F8_E8M0);

  private final EngramConfig config;
  private final int layerId;
  private final long rows;
  private final ShardIndex index;
  private final Path directory;
  private @Nullable PackedFile packed;
  private final Map<String, TensorInfo> found = new LinkedHashMap<>();
  private final List<String> problems = new ArrayList<>();

  LayerTensors(EngramConfig config, int layerId, long rows, ShardIndex index, Path directory) {
    this.directory = directory;
    this.config = config;
    this.layerId = layerId;
    this.rows = rows;
    this.index = index;
    if (config.variant() == Variant.V41) {
      findV41();
    } else {
      findPaper();
    }
  }

  /** Returns what is missing or wrong, empty if nothing is. */
  List<String> problems() {
    return problems;
  }

  /** Returns the tensors that were found. */
  List<TensorInfo> tensors() {
    return List.copyOf(found.values());
  }

  private void findV41() {
    long columns = Table.scalesPerRow(config.headDim());
    if (!findPacked()) {
      findTable("embed.weight", true);
      findScale("embed.weight", "embed.scale", rows, columns);
    }
    Set<Dtype> weights = EnumSet.of(Dtype.F8_E4M3, Dtype.BF16, Dtype.F32);
    find("wkv.weight", weights, config.kvWidth(), config.rowWidth());
    findScale(
        "wkv.weight", "wkv.scale", Linear.tiles(config.kvWidth()), Linear.tiles(config.rowWidth()));
    find("q_weight", FLOATS, config.branches(), config.hiddenSize());
    find("k_weight", FLOATS, config.branches(), config.hiddenSize());
  }

  private void findPaper() {
    int size = config.hiddenSize();
    Set<Dtype> weights = EnumSet.of(Dtype.BF16, Dtype.F32);
    if (!findPacked()) {
      findTable("multi_head_embedding.embedding.weight", false);
    }
    for (int branch = 0; branch < config.branches(); branch++) {
      find("key_projs." + branch + ".weight", weights, size, config.rowWidth());
      find("key_projs." + branch + ".bias", FLOATS, size);
      find("norm1." + branch + ".weight", FLOATS, size);
      find("norm2." + branch + ".weight", FLOATS, size);
      if (config.convKernel() > 0) {
        find("short_conv.norms." + branch + ".weight", FLOATS, size);
      }
    }
    find("value_proj.weight", weights, size, config.rowWidth());
    find("value_proj.bias", FLOATS, size);
    if (config.convKernel() > 0) {
      find("short_conv.conv.weight", FLOATS, config.streamWidth(), 1, config.convKernel());
    }
  }

  /** The name of a layer's packed rows, beside the shards. */
  static String packedName(int layerId) {
    return "engram-layer-" + layerId + ".rows";
  }

  /** Returns whether the shards of a layer are there too, and were written later. */
  private boolean isStale(Path file) throws IOException {
    boolean v41 = config.variant() == Variant.V41;
    String name = full(v41 ? "embed.weight" : "multi_head_embedding.embedding.weight");
    TensorInfo shard = index.has(name) ? index.find(name, new ArrayList<>()) : null;
    return shard != null
        && Files.getLastModifiedTime(shard.file()).compareTo(Files.getLastModifiedTime(file)) > 0;
  }

  /** Packed rows, where there are any, are taken before the shards' tensors. */
  private boolean findPacked() {
    Path file = directory.resolve(packedName(layerId));
    if (!Files.exists(file)) {
      return false;
    }
    try {
      PackedFile found = PackedFile.open(file);
      TableFile table = found.table();
      if (table.rows() != rows || table.headDim() != config.headDim()) {
        problems.add(
            file
                + " has "
                + table.rows()
                + " rows of "
                + table.headDim()
                + ", but the configuration gives "
                + rows
                + " of "
                + config.headDim());
      } else if (isStale(file)) {
        problems.add(file + " is older than the shards beside it; remove it and pack again");
      } else {
        packed = found;
      }
    } catch (IOException e) {
      problems.add(String.valueOf(e.getMessage()));
    }
    return true;
  }

  private void findTable(String name, boolean fp8) {
    Set<Dtype> types = EnumSet.copyOf(FLOATS);
    if (fp8) {
      types.add(Dtype.F8_E4M3);
    }
    find(name, types, rows, config.headDim());
  }

  private void findScale(String weight, String scale, long outer, long inner) {
    TensorInfo info = found.get(weight);
    boolean needed = info == null || dtype(info) == Dtype.F8_E4M3;
    if (needed) {
      find(scale, SCALE, outer, inner);
    } else if (info != null && index.has(full(scale))) {
      problems.add(full(scale) + " is there, but " + full(weight) + " is " + info.dtype());
    }
  }

  private void find(String name, Set<Dtype> types, long... shape) {
    TensorInfo info = index.find(full(name), problems);
    if (info == null) {
      return;
    }
    Dtype dtype = SafetensorsFile.dtype(info.dtype());
    List<Long> expected = new ArrayList<>();
    for (long dimension : shape) {
      expected.add(dimension);
    }
    if (dtype == null || !types.contains(dtype)) {
      problems.add(info.name() + " has type " + info.dtype() + ", not one of " + types);
    } else if (!info.shape().equals(expected)) {
      problems.add(
          info.name() + " has shape " + info.shape() + ", but the configuration gives " + expected);
    } else {
      found.put(name, info);
    }
  }

  private String full(String name) {
    return "layers." + layerId + ".engram." + name;
  }

  private static Dtype dtype(TensorInfo info) {
    return Objects.requireNonNull(SafetensorsFile.dtype(info.dtype()));
  }

  private TensorInfo get(String name) {
    return Objects.requireNonNull(found.get(name), name);
  }

  /**
   * Maps the large weights and reads the small ones.
   *
   * @param table the rows, opened from {@link #tableFile}
   * @throws IOException if a file cannot be mapped
   */
  LayerWeights load(Table table, Arena arena) throws IOException {
    return config.variant() == Variant.V41 ? loadV41(table, arena) : loadPaper(table, arena);
  }

  private LayerWeights loadV41(Table table, Arena arena) throws IOException {
    GateWeights gate =
        new GateWeights(
            config.branches(),
            config.hiddenSize(),
            floats("q_weight"),
            floats("k_weight"),
            config.normEps(),
            ZeroRule.COPYSIGN);
    Linear wkv = linear("wkv.weight", "wkv.scale", null, config.kvWidth(), arena);
    return new LayerWeights(table, new Projection(List.of(wkv)), gate, null);
  }

  private LayerWeights loadPaper(Table table, Arena arena) throws IOException {
    List<Linear> parts = new ArrayList<>();
    int size = config.hiddenSize();
    float[] key = new float[config.streamWidth()];
    float[] query = new float[config.streamWidth()];
    float[] conv = new float[config.streamWidth()];
    for (int branch = 0; branch < config.branches(); branch++) {
      String part = "key_projs." + branch;
      parts.add(linear(part + ".weight", "", part + ".bias", size, arena));
      copy("norm1." + branch + ".weight", key, branch);
      copy("norm2." + branch + ".weight", query, branch);
      if (config.convKernel() > 0) {
        copy("short_conv.norms." + branch + ".weight", conv, branch);
      }
    }
    parts.add(linear("value_proj.weight", "", "value_proj.bias", size, arena));
    GateWeights gate =
        new GateWeights(config.branches(), size, query, key, config.normEps(), ZeroRule.SIGNUM);
    return new LayerWeights(
        table,
        new Projection(parts),
        gate,
        config.convKernel() == 0
            ? null
            : new ConvWeights(
                config.branches(),
                size,
                config.convKernel(),
                config.convDilation(),
                floats("short_conv.conv.weight"),
                conv,
                CONV_EPS));
  }

  private void copy(String name, float[] target, int branch) throws IOException {
    System.arraycopy(floats(name), 0, target, branch * config.hiddenSize(), config.hiddenSize());
  }

  /** Returns where the table's rows lie. */
  TableFile tableFile() {
    PackedFile own = packed;
    if (own != null) {
      return own.table();
    }
    boolean v41 = config.variant() == Variant.V41;
    TensorInfo weight = get(v41 ? "embed.weight" : "multi_head_embedding.embedding.weight");
    Dtype dtype = dtype(weight);
    int headDim = config.headDim();
    int scales = Table.scalesPerRow(headDim);
    return new TableFile(
        weight.name(),
        dtype,
        rows,
        headDim,
        region(weight, headDim * dtype.bytes()),
        dtype == Dtype.F8_E4M3 ? region(get("embed.scale"), scales) : null);
  }

  private static Region region(TensorInfo tensor, int bytes) {
    return new Region(tensor.file(), tensor.offset(), bytes, bytes);
  }

  private Linear linear(
      String weight, String scale, @Nullable String bias, int outputs, Arena arena)
      throws IOException {
    TensorInfo info = get(weight);
    MemorySegment data = SafetensorsFile.map(info, arena);
    MemorySegment scales =
        dtype(info) == Dtype.F8_E4M3 ? SafetensorsFile.map(get(scale), arena) : null;
    float[] biases = bias == null ? null : floats(bias);
    return new Linear(info.name(), outputs, config.rowWidth(), dtype(info), data, scales, biases);
  }

  private float[] floats(String name) throws IOException {
    return TensorData.floats(get(name));
  }
}
