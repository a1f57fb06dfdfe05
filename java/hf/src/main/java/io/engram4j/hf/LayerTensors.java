package io.engram4j.hf;

import io.engram4j.model.EngramConfig;
import io.engram4j.model.LayerLayout;
import io.engram4j.table.Table;
import io.engram4j.table.io.PackedFile;
import io.engram4j.table.io.TableFile;
import io.engram4j.weights.LayerWeights;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** The tensors of one layer, as its family of checkpoints has them, and its packed rows. */
final class LayerTensors implements Opening.Layer {
  private final Checkpoint checkpoint;
  private final EngramConfig config;
  private final int layerId;
  private final long rows;
  private final ShardIndex index;
  private final FoundTensors found;
  private final RowTensors rowTensors;
  private final Set<String> rowNames; // of the tensors with rows
  private final @Nullable PackedFile packed;
  private final int rowProblems; // which come first

  /**
   * Looks for a layer's tensors.
   *
   * @param layout as it was computed, or null if that could not be
   * @param rows how many the table has
   */
  LayerTensors(
      ConfigReader.Described described,
      int layerId,
      @Nullable LayerLayout layout,
      long rows,
      ShardIndex index,
      Path directory) {
    this.checkpoint = described.checkpoint();
    this.config = described.config();
    this.layerId = layerId;
    this.rows = rows;
    this.index = index;
    this.found = new FoundTensors(checkpoint.prefix(layerId), index);
    this.rowTensors = new RowTensors(found, config);
    Path file = directory.resolve(packedName(layerId));
    if (Files.exists(file)) {
      this.packed = openPacked(file);
    } else {
      this.packed = null;
      checkpoint.findRows(found, rowTensors, rows);
    }
    this.rowProblems = found.problems().size();
    this.rowNames = found.all().stream().map(TensorInfo::name).collect(Collectors.toSet());
    checkpoint.tensors(config).forEach(found::find);
    if (layout != null && problemsBesideRows().isEmpty()) {
      checkpoint.check(found, config, layout);
    }
  }

  /** Returns whether a tensor is of the table, and not of what is beside it. */
  boolean isOfTable(TensorInfo tensor) {
    return rowNames.contains(tensor.name());
  }

  /** Returns what is missing or wrong, empty if nothing is. */
  List<String> problems() {
    return found.problems();
  }

  /** Returns the same for all but the rows, which other machines may have. */
  List<String> problemsBesideRows() {
    List<String> all = found.problems();
    return all.subList(rowProblems, all.size());
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
    RowTensors theirs = new RowTensors(beside, config);
    checkpoint.findRows(beside, theirs, rows);
    return beside.problems().isEmpty() ? theirs.table() : null;
  }

  /** Returns what was packed together with the rows, or null if they lie in shards. */
  @Nullable String packing() {
    PackedFile own = packed;
    return own == null || shards() != null ? null : own.origin().packing();
  }

  @Override
  public LayerWeights load(Table table, boolean maps, Arena arena) throws IOException {
    return checkpoint.weights(config, found.mapping(maps), table, arena);
  }

  @Override
  public long rows() {
    return rows;
  }

  @Override
  public TableFile tableFile() {
    PackedFile own = packed;
    if (own != null) {
      return own.table();
    }
    return rowTensors.table();
  }
}
