package io.engram4j.train.ranks;

import io.engram4j.train.table.StepGradients;
import io.engram4j.train.table.TableShape;
import io.engram4j.train.table.TrainableTable;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntFunction;

/**
 * All rows are here: a process's own, or those of tables that processes of one machine share.
 *
 * <p>Sharing ranks read and write the same memory without locks, each what its own tokens gave. A
 * row of several ranks' tokens is changed once by each, in any order, and one of two changes at the
 * same time may be lost: what they train is not the same bits twice, nor those of one process.
 */
public final class LocalRows implements RowOwners {
  private final Ranks ranks;
  private final List<TrainableTable> tables;
  private List<StepGradients> step = List.of();

  private LocalRows(Ranks ranks, List<TrainableTable> tables) {
    this.ranks = ranks;
    this.tables = List.copyOf(tables);
  }

  /** One process's own tables, owned from here on. */
  public static LocalRows of(List<TrainableTable> tables) {
    return new LocalRows(Ranks.alone(), tables);
  }

  /**
   * Tables that ranks share, in files {@code rows-0.bin} and so on of a directory that all of them
   * see at the same memory: of one machine. A process that dies leaves them as they are, some rows
   * ahead of its last checkpoint; training goes on from there.
   *
   * @param shapes of the layers' tables
   * @throws IOException if a file cannot be opened, or holds another table
   */
  public static LocalRows shared(Ranks ranks, List<TableShape> shapes, Path directory)
      throws IOException {
    return new LocalRows(
        ranks, open(shapes, (shape, layer) -> TrainableTable.share(file(directory, layer), shape)));
  }

  static Path file(Path directory, int layer) {
    return directory.resolve("rows-" + layer + ".bin");
  }

  /** Opens a table. */
  interface Opening {
    TrainableTable open(TableShape shape, int layer) throws IOException;
  }

  static List<TrainableTable> open(List<TableShape> shapes, Opening opening) throws IOException {
    List<TrainableTable> tables = new ArrayList<>();
    try {
      for (TableShape shape : shapes) {
        tables.add(opening.open(shape, tables.size()));
      }
      return tables;
    } catch (Throwable e) {
      tables.forEach(TrainableTable::close);
      throw e;
    }
  }

  @Override
  public Ranks ranks() {
    return ranks;
  }

  @Override
  public List<TrainableTable> tables() {
    return tables;
  }

  @Override
  public List<TrainableTable> rows() {
    return tables;
  }

  @Override
  public void pull(IntFunction<long[]> ids, boolean[] live, int tokens) {}

  private int columns() {
    return step.isEmpty() ? 0 : step.getFirst().columns();
  }

  @Override
  public double push(List<StepGradients> gradients, Workers workers) {
    step = gradients;
    int columns = columns();
    workers.each(tables.size() * columns, i -> step.get(i / columns).addUp(i % columns));
    double squares = 0;
    for (StepGradients each : step) {
      for (int column = 0; column < columns; column++) {
        squares += each.sums(column).squares();
      }
    }
    return squares;
  }

  @Override
  public long apply(float factor, float rate, long number, Workers workers) {
    int columns = columns();
    workers.each(
        tables.size() * columns,
        i -> {
          TrainableTable.Writer writer = tables.get(i / columns).writer(i % columns);
          step.get(i / columns).sums(i % columns).apply(writer, factor, rate, number);
        });
    long changed = 0;
    for (StepGradients each : step) {
      for (int column = 0; column < columns; column++) {
        changed += each.sums(column).size();
      }
    }
    return changed;
  }

  @Override
  public void close() {
    tables.forEach(TrainableTable::close);
  }
}
