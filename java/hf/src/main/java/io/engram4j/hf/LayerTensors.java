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
import java.util.HexFormat;
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
      } else if (!fitsShards(opened)) {
        found.problem(
            file + " was packed from other shards than those beside it; remove it and pack again");
      } else {
        return opened;
      }
    } catch (IOException e) {
      found.problem(String.valueOf(e.getMessage()));
    }
    return null;
  }

  /**
   * Returns whether rows were packed from the shards beside them, if there are any. Times of change
   * tell nothing: copies have those of their copying, in any order.
   */
  private boolean fitsShards(PackedFile file) throws IOException {
    TableFile shards = shards();
    return shards == null
        || HexFormat.of().formatHex(shards.fingerprint()).equals(file.origin().fingerprint());
  }

  /** Returns the table as the shards have it, or null if they do not. */
  private @Nullable TableFile shards() {
    FoundTensors beside = new FoundTensors(checkpoint.prefix(layerId), index);
    beside.find(WantedTensor.rows(checkpoint.table(), rows, config.headDim()));
    return beside.problems().isEmpty() ? tableOf(beside) : null;
  }

  /** Returns what was packed together with the rows, or null if they lie in shards. */
  @Nullable String packing() {
    PackedFile own = packed;
    return own == null || shards() != null ? null : own.origin().packing();
  }

  /**
   * Maps the large weights and reads the small ones.
   *
   * @param table the rows, opened from {@link #tableFile}
   * @param maps whether large weights may be mapped, or are read into memory
   * @throws IOException if a file cannot be mapped
   */
  LayerWeights load(Table table, boolean maps, Arena arena) throws IOException {
    return checkpoint.weights(config, found.mapping(maps), table, arena);
  }

  /** Returns where the table's rows lie. */
  TableFile tableFile() {
    PackedFile own = packed;
    if (own != null) {
      return own.table();
    }
    return tableOf(found);
  }

  private TableFile tableOf(FoundTensors found) {
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
