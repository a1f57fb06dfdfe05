package io.engram4j.train.table;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import io.engram4j.format.Bfloat16;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;

/**
 * A table whose rows learn. Rows begin at zero. In a file, what changes stays in memory of this
 * process until a checkpoint, page by page, so that a process that dies leaves the last checkpoint;
 * the file is sparse, and takes the disk space of the rows that were ever changed.
 *
 * <p>Reading from several threads is safe while none writes. Each {@link Writer} is for one thread
 * at a time, and writers of different rows may run at once.
 */
public final class TrainableTable implements RowReader, AutoCloseable {
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final int LINE = 64;
  private static final long NONE = Long.MIN_VALUE;

  private final TableShape shape;
  private final @Nullable TableStore store;
  private final List<Writer> writers = new ArrayList<>();
  private Arena arena;
  private MemorySegment memory;
  private long committing = NONE;

  private TrainableTable(TableShape shape, @Nullable TableStore store) throws IOException {
    this.shape = shape;
    this.store = store;
    this.arena = Arena.ofShared();
    try {
      this.memory =
          store == null ? arena.allocate(shape.bytes(), TableShape.PAGE) : store.map(arena);
    } catch (Throwable e) {
      arena.close();
      if (store != null) {
        store.close();
      }
      throw e;
    }
  }

  /** A table in memory alone, all of which it takes at once. */
  public static TrainableTable inMemory(TableShape shape) {
    try {
      return new TrainableTable(shape, null);
    } catch (IOException e) {
      throw new AssertionError(e); // no file
    }
  }

  /**
   * Opens a table's file, or makes it where there is none.
   *
   * @param step of the checkpoint that counts: a journal of it is applied, one of another dropped
   * @throws IOException if the file cannot be read or made, or holds a table of another shape
   */
  public static TrainableTable open(Path file, TableShape shape, long step) throws IOException {
    return new TrainableTable(shape, TableStore.open(file, shape, step));
  }

  /**
   * Opens a table's file, or makes it where there is none, to change its rows in the file itself,
   * as other processes do at the same time. Nothing orders their changes. A checkpoint brings what
   * is there to disk; what comes later is in the file too when a process dies.
   *
   * @throws IOException if the file cannot be read or made, holds a table of another shape, or is
   *     trained by a process alone
   */
  public static TrainableTable share(Path file, TableShape shape) throws IOException {
    return new TrainableTable(shape, TableStore.share(file, shape));
  }

  /** Returns what the table is made of. */
  public TableShape shape() {
    return shape;
  }

  @Override
  public void gather(long[] rows, int columns, boolean[] live, int tokens, float[] out) {
    int width = shape.width();
    for (int token = 0; token < tokens; token++) {
      int at = token * columns * width;
      if (!live[token]) {
        Arrays.fill(out, at, at + columns * width, 0f);
        continue;
      }
      for (int i = 0; i < columns; i++) {
        read(rows[token * columns + i], out, at + i * width);
      }
    }
  }

  /** Reads the elements of a row. */
  public void read(long row, float[] to, int at) {
    elements(where(row), to, at);
  }

  private long where(long row) {
    if (!shape.holds(row)) {
      throw new IndexOutOfBoundsException("row " + row + " of a table of " + shape.range());
    }
    return shape.at(row);
  }

  private void elements(long from, float[] to, int at) {
    if (shape.format() == RowFormat.F32) {
      MemorySegment.copy(memory, FLOAT, from, to, at, shape.width());
      return;
    }
    for (int i = 0; i < shape.width(); i++) {
      to[at + i] = Bfloat16.toFloat(memory.get(SHORT, from + 2L * i));
    }
  }

  /**
   * Sets the elements of a row, as an importer does; its state becomes zero. For one thread.
   *
   * @param values from {@code at} on, rounded to nearest even where the table is bf16
   */
  public void set(long row, float[] values, int at) {
    Writer writer = writer(0);
    System.arraycopy(values, at, writer.row, 0, shape.width());
    Arrays.fill(writer.row, shape.width(), shape.floats(), 0f);
    writer.write(row, where(row), -1);
  }

  /**
   * Reads a row and its optimizer's state.
   *
   * @param to [floats of the shape], written
   */
  public void readWhole(long row, float[] to) {
    long at = where(row);
    int width = shape.width();
    elements(at, to, 0);
    MemorySegment.copy(memory, FLOAT, at + shape.elementBytes(), to, width, shape.floats() - width);
  }

  /**
   * Sets a row and its state, as {@link #readWhole} gave them. For one thread.
   *
   * @param values [floats of the shape]
   */
  public void setWhole(long row, float[] values) {
    Writer writer = writer(0);
    System.arraycopy(values, 0, writer.row, 0, shape.floats());
    writer.write(row, where(row), -1);
  }

  /** Returns the writer of a column of tokens' rows; each is for one thread at a time. */
  public synchronized Writer writer(int column) {
    while (writers.size() <= column) {
      writers.add(new Writer());
    }
    return writers.get(column);
  }

  /** Returns how many rows changed since the last checkpoint. */
  public synchronized long changedRows() {
    return writers.stream().mapToLong(writer -> writer.changed.size()).sum();
  }

  /** Returns the rows that changed since the last checkpoint, in ascending order. */
  public synchronized long[] changed() {
    return writers.stream()
        .flatMapToLong(writer -> LongStream.of(writer.changed.sorted()))
        .sorted()
        .distinct()
        .toArray();
  }

  /**
   * Writes what changed into a journal beside the file: the first of a checkpoint's two steps.
   *
   * @throws IOException if it cannot be written, such as when the disk is full; the table and its
   *     last checkpoint are as before
   * @throws IllegalStateException if the table has no file
   */
  public void prepare(long step) throws IOException {
    finish();
    if (!stored().isShared()) {
      stored().writeJournal(step, changed(), memory);
    }
  }

  /**
   * Moves the journal into the file, after the checkpoint counts: the second step.
   *
   * @throws IOException if it cannot be written; then the next checkpoint begins with it, or
   *     opening the table does it
   */
  public synchronized void commit(long step) throws IOException {
    if (stored().isShared()) {
      memory.force();
      return;
    }
    committing = step;
    finish();
  }

  /**
   * Finishes a commit that failed, if one did: its checkpoint counts, and its journal must not be
   * replaced.
   *
   * @throws IOException if it fails again
   */
  public synchronized void finish() throws IOException {
    if (committing == NONE) {
      return;
    }
    stored().apply(committing);
    Arena next = Arena.ofShared();
    MemorySegment mapped;
    try {
      mapped = stored().map(next); // pages of this process's own go back
    } catch (Throwable e) {
      next.close();
      throw e;
    }
    arena.close();
    arena = next;
    memory = mapped;
    writers.forEach(writer -> writer.changed.clear());
    committing = NONE;
  }

  private TableStore stored() {
    if (store == null) {
      throw new IllegalStateException("the table has no file");
    }
    return store;
  }

  @Override
  public void close() {
    if (arena.scope().isAlive()) {
      arena.close();
    }
    if (store != null) {
      store.close();
    }
  }

  /** Changes rows. */
  public final class Writer {
    private final float[] row = new float[shape.floats()];
    private final ChangedRows changed = new ChangedRows();

    @SuppressWarnings("UnusedVariable") // written so that the reads are not taken away
    private int touched;

    private Writer() {}

    /** Reads a byte of each cache line of a row. */
    void touch(long row, float[] gradient, int from) {
      long at = where(row);
      int bytes = shape.rowBytes();
      int sum = touched;
      for (int i = from; i < from + shape.width(); i += 16) {
        sum += (int) gradient[i];
      }
      for (int line = 0; line < bytes; line += LINE) {
        sum += memory.get(JAVA_BYTE, at + line);
      }
      touched = sum;
    }

    /**
     * Changes a row by its gradient.
     *
     * @param gradient from {@code from} on
     * @param step on which noise of rounding depends
     */
    void update(long id, float[] gradient, int from, float factor, float rate, long step) {
      long at = where(id);
      int width = shape.width();
      if (shape.format() == RowFormat.F32) { // its state lies right behind
        MemorySegment.copy(memory, FLOAT, at, row, 0, shape.floats());
      } else {
        elements(at, row, 0);
        MemorySegment.copy(
            memory, FLOAT, at + shape.elementBytes(), row, width, shape.floats() - width);
      }
      shape.optimizer().update(row, 0, width, gradient, from, factor, rate);
      write(id, at, step);
    }

    /** Rounds stochastically, or to nearest where the step is negative. */
    private void write(long id, long at, long step) {
      int width = shape.width();
      if (shape.format() == RowFormat.F32) {
        MemorySegment.copy(row, 0, memory, FLOAT, at, shape.floats());
      } else {
        for (int i = 0; i < width; i++) {
          short bits =
              step < 0 ? Bfloat16.fromFloat(row[i]) : stochastic(row[i], noise(id, step, i));
          memory.set(SHORT, at + 2L * i, bits);
        }
        MemorySegment.copy(
            row, width, memory, FLOAT, at + shape.elementBytes(), shape.floats() - width);
      }
      if (store != null && !store.isShared()) {
        changed.add(id);
      }
    }

    private int noise(long id, long step, int element) {
      long x = shape.seed() + step * 0x9e3779b97f4a7c15L + id * 0xbf58476d1ce4e5b9L + element;
      x = (x ^ (x >>> 30)) * 0xbf58476d1ce4e5b9L;
      x = (x ^ (x >>> 27)) * 0x94d049bb133111ebL;
      return (int) ((x ^ (x >>> 31)) & 0xffff);
    }
  }

  /** Adds noise below the last bit that is kept, and cuts. */
  private static short stochastic(float value, int noise) {
    int bits = Float.floatToRawIntBits(value);
    if ((bits & 0x7f800000) == 0x7f800000) {
      return Bfloat16.fromFloat(value);
    }
    int raised = bits + noise;
    return (short) ((raised & 0x7f800000) == 0x7f800000 ? bits >>> 16 : raised >>> 16);
  }
}
