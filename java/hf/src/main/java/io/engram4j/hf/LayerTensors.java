package io.engram4j.hf;

import io.engram4j.model.EngramConfig;
import io.engram4j.table.RowType;
import io.engram4j.table.Table;
import io.engram4j.table.io.PackedFile;
import io.engram4j.table.io.TableFile;
import io.engram4j.table.io.TableFile.Region;
import io.engram4j.weights.LayerWeights;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The tensors of one layer, as its family of checkpoints has them, and its packed rows. */
final class LayerTensors {
  private final Checkpoint checkpoint;
  private final EngramConfig config;
  private final int layerId;
  private final long rows;
  private final ShardIndex index;
  private final FoundTensors found;
  private final @Nullable PackedFile packed;

  LayerTensors(
      ConfigReader.Described described, int layerId, long rows, ShardIndex index, Path directory) {
    this.checkpoint = described.checkpoint();
    this.config = described.config();
    this.layerId = layerId;
    this.rows = rows;
    this.index = index;
    this.found = new FoundTensors(checkpoint.prefix(layerId), index);
    Path file = directory.resolve(packedName(layerId));
    if (Files.exists(file)) {
      this.packed = openPacked(file);
    } else {
      this.packed = null;
      found.find(WantedTensor.rows(checkpoint.table(), rows, config.headDim()));
    }
    checkpoint.tensors(config).forEach(found::find);
  }

  /** Returns what is missing or wrong, empty if nothing is. */
  List<String> problems() {
    return found.problems();
  }

  /** Returns the tensors that were found. */
  List<TensorInfo> tensors() {
    return found.all();
  }

  /** The name of a layer's packed rows, beside the shards. */
  static String packedName(int layerId) {
    return "engram-layer-" + layerId + ".rows";
  }

  /** Packed rows, where there are any, are taken before the shards' tensors. */
  private @Nullable PackedFile openPacked(Path file) {
    try {
      PackedFile opened = PackedFile.open(file);
      TableFile table = opened.table();
      if (table.rows() != rows || table.headDim() != config.headDim()) {
        found.problem(
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
        found.problem(file + " is older than the shards beside it; remove it and pack again");
      } else {
        return opened;
      }
    } catch (IOException e) {
      found.problem(String.valueOf(e.getMessage()));
    }
    return null;
  }

  /** Returns whether the shards of a layer are there too, and were written later. */
  private boolean isStale(Path file) throws IOException {
    String name = checkpoint.prefix(layerId) + checkpoint.table().weight();
    TensorInfo shard = index.has(name) ? index.find(name, new ArrayList<>()) : null;
    return shard != null
        && Files.getLastModifiedTime(shard.file()).compareTo(Files.getLastModifiedTime(file)) > 0;
  }

  /**
   * Maps the large weights and reads the small ones.
   *
   * @param table the rows, opened from {@link #tableFile}
   * @throws IOException if a file cannot be mapped
   */
  LayerWeights load(Table table, Arena arena) throws IOException {
    return checkpoint.weights(config, found, table, arena);
  }

  /** Returns where the table's rows lie. */
  TableFile tableFile() {
    PackedFile own = packed;
    if (own != null) {
      return own.table();
    }
    TensorInfo weight = found.get(checkpoint.table().weight());
    RowType type = FoundTensors.rowType(weight);
    int headDim = config.headDim();
    String scale = checkpoint.table().scale();
    return new TableFile(
        weight.name(),
        type,
        rows,
        headDim,
        region(weight, Math.toIntExact(type.elementBytes(headDim))),
        type.hasScalesBeside() && scale != null
            ? region(found.get(scale), type.scaleBytes(headDim))
            : null);
  }

  private static Region region(TensorInfo tensor, int bytes) {
    return new Region(tensor.file(), tensor.offset(), bytes, bytes);
  }
}
