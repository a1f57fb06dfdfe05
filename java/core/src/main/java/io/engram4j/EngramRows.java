package io.engram4j;

import io.engram4j.kernel.Backend;
import io.engram4j.kernel.StageChecks;
import io.engram4j.model.Dtype;
import io.engram4j.run.Lifetime;
import io.engram4j.run.Staging;
import io.engram4j.table.RowType;
import io.engram4j.table.Table;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.jspecify.annotations.Nullable;

/**
 * Tables without the rest of a model: row ids to rows, for engines that hash and project
 * themselves. Thread-safe. Closing refuses new calls; the memory is freed when the last call under
 * way has ended.
 *
 * <p>Usually opened from files by {@code EngramModels.openRows} of the module {@code
 * io.engram4j.hf}.
 */
public final class EngramRows implements AutoCloseable {
  private final Map<Integer, Source> sources = new LinkedHashMap<>();
  private final Backend backend;
  private final Lifetime lifetime;

  /** A table and what gathers from it. */
  private record Source(Table table, Backend.@Nullable Gather kernel, Queue<Staging> idle) {}

  /**
   * Serves tables.
   *
   * @param tables by the layer that they are of
   * @param memory closed with this, or null
   */
  public EngramRows(Map<Integer, Table> tables, Backend backend, @Nullable AutoCloseable memory) {
    this.backend = backend;
    Resources own = new Resources();
    own.add(memory);
    this.lifetime = new Lifetime(own);
    try {
      Arena arena = own.add(Arena.ofShared());
      tables.forEach((layer, table) ->
          sources.put(
              layer,
              new Source(
                  table,
                  table.isInMemory() ? backend.gather(table.copies().getFirst(), arena) : null,
                  new ConcurrentLinkedQueue<>())));
      own.add(() -> sources.values().forEach(source -> source.idle.forEach(Staging::close)));
    } catch (Throwable e) {
      own.forget(memory); // still the caller's
      lifetime.close();
      throw e;
    }
  }

  /** Returns the layers whose tables there are. */
  public List<Integer> layers() {
    return List.copyOf(sources.keySet());
  }

  private Source source(int layer) {
    Source source = sources.get(layer);
    if (source == null) {
      throw new NoSuchElementException(
          "there is no table of layer " + layer + ", but of " + sources.keySet());
    }
    return source;
  }

  /**
   * Returns the number of rows of a layer's table.
   *
   * @throws NoSuchElementException if there is none
   */
  public long rows(int layer) {
    return source(layer).table.rows();
  }

  /** Returns the elements of a row. */
  public int width(int layer) {
    return source(layer).table.headDim();
  }

  /** Returns how rows are stored. */
  public RowType type(int layer) {
    return source(layer).table.type();
  }

  /**
   * Fetches rows by their ids and widens them.
   *
   * @param rowIds int64 [count], offsets included; -1 stands for a row of zeros
   * @param out [count, width], written
   * @param outType F32, or BF16 rounded to nearest even
   * @throws IndexOutOfBoundsException if another id is outside the table
   * @throws IllegalArgumentException if memory is too small
   * @throws IllegalStateException if this is closed
   * @throws java.io.UncheckedIOException if a table's file cannot be read, or has shrunk
   */
  public void gather(
      int layer, MemorySegment rowIds, long count, MemorySegment out, Dtype outType) {
    Source source = source(layer);
    StageChecks.gather(source.table, rowIds, count, out, outType);
    lifetime.enter();
    try {
      if (source.kernel != null) {
        source.kernel.run(rowIds, count, out, outType);
        return;
      }
      Staging staging = source.idle.poll();
      if (staging == null) {
        staging = new Staging(source.table);
      }
      try {
        staging.fetch(rowIds, count);
        staging.gather(backend, 0, count, out, outType);
      } finally {
        source.idle.add(staging);
      }
    } finally {
      lifetime.exit();
    }
  }

  /** Refuses calls from now on and frees the tables after the last call under way. */
  @Override
  public void close() {
    lifetime.close();
  }
}
