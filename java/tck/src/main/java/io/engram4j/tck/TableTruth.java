package io.engram4j.tck;

import io.engram4j.hf.EngramModels;
import io.engram4j.hf.ModelFiles;
import io.engram4j.table.RowSource;
import io.engram4j.table.Table;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;

/**
 * A small model on disk with random tables of layers 1 and 3, and the rows of the first as the file
 * has them: what any {@link RowSource} of that table must give. Thread-safe; owns the mapping.
 */
public final class TableTruth implements AutoCloseable {
  private final ModelFiles model;
  private final Arena arena = Arena.ofShared();
  private final Table table;

  private TableTruth(ModelFiles model) throws IOException {
    this.model = model;
    this.table = model.tableFile(1).map(arena);
  }

  /**
   * Writes such a model; the same one every time.
   *
   * @param directory made by this
   */
  public static TableTruth write(Path directory) throws IOException {
    Files.createDirectory(directory);
    RandomModel.small(32, 2, List.of(1, 3)).write(directory, bytes -> {});
    return new TableTruth(EngramModels.read(directory));
  }

  /** Returns the model's files. */
  public ModelFiles model() {
    return model;
  }

  /** Returns how many rows the table of layer 1 has. */
  public long rows() {
    return table.rows();
  }

  /** Returns the rows that ids stand for, as the file has them; what stands for -1 is zeros. */
  public byte[] expected(long... ids) {
    return read(table::read, ids);
  }

  /** Returns the rows that a source gives for ids; what it leaves as it was is zeros. */
  public byte[] read(RowSource source, long... ids) {
    try (Arena own = Arena.ofConfined()) {
      MemorySegment to = own.allocate(Math.max(1, ids.length * table.rowBytes()));
      source.read(own.allocateFrom(ValueLayout.JAVA_LONG, ids), ids.length, to);
      return to.toArray(ValueLayout.JAVA_BYTE);
    }
  }

  /** Returns random ids, -1 among them. */
  public long[] ids(SplittableRandom random, int count) {
    return random.longs(count, -1, table.rows()).toArray();
  }

  @Override
  public void close() {
    arena.close();
  }
}
