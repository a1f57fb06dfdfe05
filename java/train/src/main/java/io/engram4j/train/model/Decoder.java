package io.engram4j.train.model;

import io.engram4j.model.EngramConfig;
import io.engram4j.model.EngramLayout;
import io.engram4j.model.LayerLayout;
import io.engram4j.model.TokenMap;
import io.engram4j.train.kernel.HashStage;
import io.engram4j.train.ranks.LocalRows;
import io.engram4j.train.ranks.RowOwners;
import io.engram4j.train.table.TableShape;
import io.engram4j.train.table.TrainableTable;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A decoder with or without Engram layers: its parameters and tables. Passes compute; those of
 * different threads may run at once while nobody writes parameters or tables.
 *
 * <p>Owns its tables, which {@link #close} closes.
 */
public final class Decoder implements EngramWeights, AutoCloseable {
  private final DecoderShape shape;
  private final EngramMemory memory;
  private final Parameters parameters;
  private final DecoderTensors tensors;
  private final RowOwners owners;
  private final List<HashStage> hashes;

  /**
   * Makes a decoder whose parameters are drawn by a seed.
   *
   * @param memory its Engram layers; {@link EngramMemory#NONE} for a dense model
   * @param tables of the layers, in the order of the configuration; owned from here on
   * @throws IllegalArgumentException if shape, memory and tables do not fit each other
   */
  public Decoder(DecoderShape shape, EngramMemory memory, List<TrainableTable> tables, long seed) {
    this(shape, memory, LocalRows.of(tables), seed);
    for (int i = 0; i < tables.size(); i++) {
      LayerLayout layout = hashes.get(i).layout();
      long rows = tables.get(i).shape().rows();
      if (rows < layout.rows() || tables.get(i).shape().first() != 0) {
        throw new IllegalArgumentException(
            "the table of layer "
                + layout.layerId()
                + " has "
                + rows
                + " rows from "
                + tables.get(i).shape().first()
                + " on, but the configuration takes "
                + layout.rows()
                + " from 0 on");
      }
    }
  }

  /**
   * Makes a decoder whose rows are with several processes, drawn by the same seed in each.
   *
   * @param owners owned from here on
   * @throws IllegalArgumentException if shape, memory and tables do not fit each other
   */
  public Decoder(DecoderShape shape, EngramMemory memory, RowOwners owners, long seed) {
    this.shape = shape;
    this.memory = memory;
    this.owners = owners;
    this.hashes = hashes(shape, memory);
    if (owners.tables().size() != hashes.size()) {
      throw new IllegalArgumentException(
          hashes.size() + " Engram layers have " + owners.tables().size() + " tables");
    }
    for (TrainableTable table : owners.tables()) {
      if (table.shape().width() != memory.config().headDim()) {
        throw new IllegalArgumentException(
            "rows of "
                + table.shape().width()
                + " elements, but the configuration takes "
                + memory.config().headDim());
      }
    }
    Parameters.Builder builder = new Parameters.Builder(seed);
    this.tensors = DecoderTensors.of(shape, memory, builder);
    this.parameters = builder.build();
  }

  /**
   * Makes a decoder whose tables lie in memory.
   *
   * @param like how tables are kept; rows and width are the layers'
   */
  public static Decoder inMemory(
      DecoderShape shape, EngramMemory memory, TableShape like, long seed) {
    List<TrainableTable> tables = new ArrayList<>();
    try {
      memory.tables(like).forEach(table -> tables.add(TrainableTable.inMemory(table)));
      return new Decoder(shape, memory, tables, seed);
    } catch (Throwable e) {
      tables.forEach(TrainableTable::close);
      throw e;
    }
  }

  /**
   * Makes a decoder whose tables lie in files of a directory, {@code rows-0.bin} and so on.
   *
   * @param step of the checkpoint as of which they are opened, -1 to begin
   * @throws IOException if a file cannot be opened, or holds another table
   */
  public static Decoder inFiles(
      DecoderShape shape,
      EngramMemory memory,
      TableShape like,
      Path directory,
      long step,
      long seed)
      throws IOException {
    List<TrainableTable> tables = new ArrayList<>();
    try {
      for (TableShape table : memory.tables(like)) {
        Path file = directory.resolve("rows-" + tables.size() + ".bin");
        tables.add(TrainableTable.open(file, table, step));
      }
      return new Decoder(shape, memory, tables, seed);
    } catch (Throwable e) {
      tables.forEach(TrainableTable::close);
      throw e;
    }
  }

  private static List<HashStage> hashes(DecoderShape shape, EngramMemory memory) {
    List<HashStage> hashes = new ArrayList<>();
    if (memory.isThere()) {
      EngramConfig config = memory.config();
      TokenMap map = memory.map();
      if (config.hiddenSize() != shape.width() || config.branches() != shape.streams()) {
        throw new IllegalArgumentException(
            "Engram has "
                + config.branches()
                + " branches of "
                + config.hiddenSize()
                + ", the decoder "
                + shape.streams()
                + " of "
                + shape.width());
      }
      if (map.size() < shape.vocabulary()) {
        throw new IllegalArgumentException(
            "the token map has " + map.size() + " ids, the decoder " + shape.vocabulary());
      }
      int pad = map.get(config.padTokenId());
      for (LayerLayout layout : EngramLayout.of(config, map.distinct())) {
        if (layout.layerId() >= shape.layers()) {
          throw new IllegalArgumentException(
              "Engram layer " + layout.layerId() + " of a decoder of " + shape.layers());
        }
        hashes.add(new HashStage(layout, map.toArray(), pad));
      }
    }
    return hashes;
  }

  /** Returns the shape. */
  public DecoderShape shape() {
    return shape;
  }

  /** Returns the Engram layers. */
  @Override
  public EngramMemory memory() {
    return memory;
  }

  /** Returns the dense parameters. */
  @Override
  public Parameters parameters() {
    return parameters;
  }

  /** Returns the tables, in the order of the Engram layers; of one rank those that it has. */
  @Override
  public List<TrainableTable> tables() {
    return owners.tables();
  }

  /** Returns where the rows are. */
  public RowOwners owners() {
    return owners;
  }

  /**
   * Checks the ids of a batch.
   *
   * @throws IndexOutOfBoundsException if an id is not in the vocabulary
   */
  public void require(Batch batch) {
    for (int id : batch.ids()) {
      java.util.Objects.checkIndex(id, shape.vocabulary());
    }
    for (int target : batch.targets()) {
      java.util.Objects.checkIndex(Math.max(0, target), shape.vocabulary());
    }
  }

  /** Returns the row ids of an Engram layer, by its place among them: [tokens, columns]. */
  public long[] rowIds(int layer, Batch batch) {
    long[] ids = new long[batch.tokens() * memory.config().columns()];
    hashes.get(layer).forward(batch.ids(), batch.start(), batch.tokens(), ids);
    return ids;
  }

  DecoderTensors tensors() {
    return tensors;
  }

  List<HashStage> hashes() {
    return hashes;
  }

  /** Returns memory to compute in, for batches of at most so many tokens. */
  public Pass newPass(int tokens) {
    return new Pass(this, tokens);
  }

  /**
   * Returns how many dense parameters a token is multiplied with, of experts one: what "the same
   * cost" means when models are compared.
   */
  public long weightsUsed() {
    long idle = Math.max(0, shape.experts() - 1) * 3L * shape.width() * shape.expertInner();
    return parameters.size() - shape.layers() * idle;
  }

  @Override
  public void close() {
    owners.close();
  }
}
