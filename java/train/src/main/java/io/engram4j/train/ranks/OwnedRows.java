package io.engram4j.train.ranks;

import io.engram4j.host.Buffer;
import io.engram4j.train.table.PulledRows;
import io.engram4j.train.table.RowSums;
import io.engram4j.train.table.StepGradients;
import io.engram4j.train.table.TableShape;
import io.engram4j.train.table.TrainableTable;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntFunction;

/**
 * Each rank owns a range of each table's rows. Before a step a rank names the rows that its tokens
 * need, each once, and their owners send them; after it owners get what each rank's tokens gave,
 * add it up in the order of ranks, and change their rows. All layers go in one exchange.
 *
 * <p>The same ranks, data and options give the same bits. Of one process's they differ by rounding:
 * sums of a step are added up by rank first.
 */
public final class OwnedRows implements RowOwners {
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
  private static final int ROWS = 1024; // room at first

  private final Ranks ranks;
  private final List<Layer> layers = new ArrayList<>();
  private final Buffer sent = new Buffer();
  private final Buffer replies = new Buffer();

  /** A layer's table: who owns which rows, and what this rank has of a step. */
  private static final class Layer {
    final TrainableTable table;
    final long[] ends; // of each rank's range
    final PulledRows pulled;
    final RowSums sums;
    final int width;
    int[] owners = new int[ROWS]; // of each row in hand
    int[] offsets = new int[0]; // of each rank's first row in order
    int[] order = new int[ROWS]; // rows in hand, by owner

    Layer(TrainableTable table, TableShape whole, int ranks) {
      this.table = table;
      this.width = whole.width();
      this.ends = new long[ranks];
      for (int rank = 0; rank < ranks; rank++) {
        ends[rank] = end(whole, rank, ranks);
      }
      this.pulled = new PulledRows(ROWS, width);
      this.sums = new RowSums(ROWS, width);
    }

    int owner(long row) {
      int rank = 0;
      while (row >= ends[rank]) {
        rank++;
      }
      return rank;
    }

    /** Sorts rows in hand by their owners, and keeps their order otherwise. */
    void sort(int count, java.util.function.IntToLongFunction rows) {
      if (order.length < count) {
        order = new int[Math.max(count, 2 * order.length)];
        owners = new int[order.length];
      }
      offsets = new int[ends.length + 1];
      for (int i = 0; i < count; i++) {
        owners[i] = owner(rows.applyAsLong(i));
        offsets[owners[i] + 1]++;
      }
      for (int rank = 0; rank < ends.length; rank++) {
        offsets[rank + 1] += offsets[rank];
      }
      int[] next = offsets.clone();
      for (int i = 0; i < count; i++) {
        order[next[owners[i]]++] = i;
      }
    }

    int count(int rank) {
      return offsets[rank + 1] - offsets[rank];
    }
  }

  private OwnedRows(Ranks ranks, List<TableShape> whole, List<TrainableTable> tables) {
    this.ranks = ranks;
    for (int i = 0; i < tables.size(); i++) {
      layers.add(new Layer(tables.get(i), whole.get(i), ranks.size()));
    }
  }

  private static long end(TableShape whole, int rank, int ranks) {
    return whole.first() + Math.multiplyExact(whole.rows(), rank + 1L) / ranks;
  }

  /**
   * Returns the rows that a rank owns of a table: as many as any other, give or take one.
   *
   * @throws IllegalArgumentException if there are fewer rows than ranks
   */
  public static TableShape range(TableShape whole, int rank, int ranks) {
    long from = rank == 0 ? whole.first() : end(whole, rank - 1, ranks);
    long to = end(whole, rank, ranks);
    if (from == to) {
      throw new IllegalArgumentException(
          "a table of " + whole.rows() + " rows has none for rank " + rank + " of " + ranks);
    }
    return whole.range(from, to - from);
  }

  /**
   * Tables whose ranges lie in memory.
   *
   * @param whole shapes of the layers' tables
   */
  public static OwnedRows inMemory(Ranks ranks, List<TableShape> whole) {
    try {
      return of(ranks, whole, (shape, layer) -> TrainableTable.inMemory(shape));
    } catch (IOException e) {
      throw new AssertionError(e); // no file
    }
  }

  /**
   * Tables whose ranges lie in files {@code rows-0.bin} and so on of a directory that is this
   * rank's alone.
   *
   * @param whole shapes of the layers' tables
   * @param step of the checkpoint as of which they are opened, -1 to begin
   * @throws IOException if a file cannot be opened, or holds other rows
   */
  public static OwnedRows inFiles(Ranks ranks, List<TableShape> whole, Path directory, long step)
      throws IOException {
    return of(
        ranks,
        whole,
        (shape, layer) -> TrainableTable.open(LocalRows.file(directory, layer), shape, step));
  }

  private static OwnedRows of(Ranks ranks, List<TableShape> whole, LocalRows.Opening opening)
      throws IOException {
    List<TableShape> ranges =
        whole.stream().map(shape -> range(shape, ranks.rank(), ranks.size())).toList();
    return new OwnedRows(ranks, whole, LocalRows.open(ranges, opening));
  }

  @Override
  public Ranks ranks() {
    return ranks;
  }

  @Override
  public List<TrainableTable> tables() {
    return layers.stream().map(layer -> layer.table).toList();
  }

  @Override
  public List<PulledRows> rows() {
    return layers.stream().map(layer -> layer.pulled).toList();
  }

  @Override
  public void pull(IntFunction<long[]> ids, boolean[] live, int tokens) {
    for (int i = 0; i < layers.size(); i++) {
      Layer layer = layers.get(i);
      long[] rows = ids.apply(i);
      int columns = tokens == 0 ? 0 : rows.length / tokens;
      layer.pulled.clear();
      for (int at = 0; at < rows.length; at++) {
        if (live[at / columns]) {
          layer.pulled.want(rows[at]);
        }
      }
      layer.sort(layer.pulled.size(), layer.pulled::row);
    }
    take(reply(exchange(false)));
  }

  /** Sends each owner its rows' ids, and what they get: numbers of rows, then ids, then sums. */
  private List<MemorySegment> exchange(boolean sums) {
    int size = ranks.size();
    long[] at = new long[size];
    long[] bytes = new long[size];
    long total = 0;
    for (int rank = 0; rank < size; rank++) {
      at[rank] = total;
      for (Layer layer : layers) {
        bytes[rank] += 8 + layer.count(rank) * (8L + (sums ? 4L * layer.width : 0));
      }
      total += bytes[rank];
    }
    MemorySegment memory = sent.reserve(total);
    long to = 0;
    for (int rank = 0; rank < size; rank++) {
      for (Layer layer : layers) {
        memory.set(LONG, to, layer.count(rank));
        to += 8;
        for (int i = layer.offsets[rank]; i < layer.offsets[rank + 1]; i++, to += 8) {
          int place = layer.order[i];
          memory.set(LONG, to, sums ? layer.sums.row(place) : layer.pulled.row(place));
        }
        for (int i = layer.offsets[rank]; sums && i < layer.offsets[rank + 1]; i++) {
          int from = layer.order[i] * layer.width;
          MemorySegment.copy(layer.sums.values(), from, memory, FLOAT, to, layer.width);
          to += 4L * layer.width;
        }
      }
    }
    return ranks.exchange(memory, at, bytes);
  }

  /** Sends the rows that others named. */
  private List<MemorySegment> reply(List<MemorySegment> wanted) {
    int size = ranks.size();
    long[] at = new long[size];
    long[] bytes = new long[size];
    long total = 0;
    for (int rank = 0; rank < size; rank++) {
      at[rank] = total;
      long from = 0;
      for (Layer layer : layers) {
        long count = wanted.get(rank).get(LONG, from);
        bytes[rank] += count * 4 * layer.width;
        from += 8 + 8 * count;
      }
      total += bytes[rank];
    }
    MemorySegment memory = replies.reserve(Math.max(4, total));
    long to = 0;
    for (MemorySegment names : wanted) {
      long from = 0;
      for (Layer layer : layers) {
        float[] row = new float[layer.width];
        long count = names.get(LONG, from);
        from += 8;
        for (long i = 0; i < count; i++, from += 8, to += 4L * layer.width) {
          layer.table.read(names.get(LONG, from), row, 0);
          MemorySegment.copy(row, 0, memory, FLOAT, to, layer.width);
        }
      }
    }
    return ranks.exchange(memory, at, bytes);
  }

  private void take(List<MemorySegment> rows) {
    for (int rank = 0; rank < ranks.size(); rank++) {
      long from = 0;
      for (Layer layer : layers) {
        for (int i = layer.offsets[rank]; i < layer.offsets[rank + 1]; i++) {
          layer.pulled.take(layer.order[i], rows.get(rank), from);
          from += 4L * layer.width;
        }
      }
    }
  }

  @Override
  public double push(List<StepGradients> step, Workers workers) {
    workers.each(
        layers.size(),
        i -> {
          Layer layer = layers.get(i);
          layer.sums.clear();
          for (int column = 0; column < step.get(i).columns(); column++) {
            step.get(i).addUp(column);
            RowSums sums = step.get(i).sums(column);
            for (int place = 0; place < sums.size(); place++) {
              layer.sums.add(sums.row(place), sums.values(), place * layer.width);
            }
          }
          layer.sort(layer.sums.size(), layer.sums::row);
        });
    List<MemorySegment> received = exchange(true);
    double squares = 0;
    for (int i = 0; i < layers.size(); i++) {
      addUp(layers.get(i), i, received);
      squares += layers.get(i).sums.squares();
    }
    return squares;
  }

  /** Adds up what came for a layer's rows. */
  private void addUp(Layer layer, int index, List<MemorySegment> received) {
    float[] row = new float[layer.width];
    layer.sums.clear();
    for (MemorySegment part : received) {
      long from = 0;
      for (int before = 0; before < index; before++) {
        from += 8 + part.get(LONG, from) * (8L + 4L * layers.get(before).width);
      }
      long count = part.get(LONG, from);
      long ids = from + 8;
      long sums = ids + 8 * count;
      for (long i = 0; i < count; i++) {
        MemorySegment.copy(part, FLOAT, sums + 4 * i * layer.width, row, 0, layer.width);
        layer.sums.add(part.get(LONG, ids + 8 * i), row, 0);
      }
    }
  }

  @Override
  public long apply(float factor, float rate, long step, Workers workers) {
    workers.each(
        layers.size(),
        i -> {
          Layer layer = layers.get(i);
          layer.sums.apply(layer.table.writer(0), factor, rate, step);
        });
    return layers.stream().mapToLong(layer -> layer.sums.size()).sum();
  }

  @Override
  public void close() {
    layers.forEach(layer -> layer.table.close());
    sent.close();
    replies.close();
  }
}
