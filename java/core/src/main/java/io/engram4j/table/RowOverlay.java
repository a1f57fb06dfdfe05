package io.engram4j.table;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import io.engram4j.format.Bfloat16;
import io.engram4j.model.Dtype;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Collectors;

/**
 * Rows that are replaced while a model serves: named sets, put on and taken off at any time,
 * without a byte of the tables changed. Where sets share a row, the one put on last counts, and
 * taking it off shows the one below. A change is seen whole, by lookups that begin after it, never
 * in part. Rows are float32, rounded as the table's are. Thread-safe. Looking up costs nothing
 * while there are no sets.
 */
public final class RowOverlay {
  private final Map<Integer, Shape> tables;
  private final AtomicLong version = new AtomicLong();
  private volatile State state = new State(List.of(), Map.of());

  /** What is on: never changed, only replaced. */
  private record State(List<Applied> sets, Map<Integer, Rows> rows) {}

  /** The rows of one layer that are on at one moment. Immutable. */
  public static final class Rows {
    private static final Rows NONE = new Rows(Map.of());

    private final Map<Long, float[]> values;

    private Rows(Map<Long, float[]> values) {
      this.values = values;
    }

    /** Returns whether a row is replaced. */
    public boolean has(long rowId) {
      return !values.isEmpty() && values.containsKey(rowId);
    }

    /** Returns whether no row is replaced. */
    public boolean isEmpty() {
      return values.isEmpty();
    }

    /**
     * Writes the row that stands in for another.
     *
     * @param element where its first element goes in {@code out}
     * @return whether there is one
     */
    public boolean write(long rowId, MemorySegment out, long element, Dtype outType) {
      float[] row = values.get(rowId);
      if (row == null) {
        return false;
      }
      RowOverlay.write(row, out, element, outType);
      return true;
    }

    /**
     * Puts rows that are on over gathered ones.
     *
     * @param rowIds int64 [count]
     * @param out [count, headDim] of F32 or BF16, as gathered
     */
    public void apply(MemorySegment rowIds, long count, MemorySegment out, Dtype outType) {
      if (values.isEmpty()) {
        return;
      }
      for (long i = 0; i < count; i++) {
        float[] row = values.get(rowIds.getAtIndex(JAVA_LONG_UNALIGNED, i));
        if (row != null) {
          RowOverlay.write(row, out, i * row.length, outType);
        }
      }
    }
  }

  /**
   * A set that is on.
   *
   * @param set the set
   * @param version counts all changes of this overlay; when this set was put on
   */
  public record Applied(RowSet set, long version) {}

  /**
   * A layer's table, as far as rows must fit it.
   *
   * @param layerId the model layer
   * @param name what messages call the table
   * @param rows number of rows
   * @param headDim elements of a row
   * @param type how rows are stored: where they are bf16 once widened, rows that stand in for them
   *     are as well
   */
  public record Shape(int layerId, String name, long rows, int headDim, RowType type) {}

  /** An overlay over tables, with no sets. */
  public RowOverlay(List<Shape> tables) {
    this.tables = tables.stream().collect(Collectors.toMap(Shape::layerId, shape -> shape));
  }

  /**
   * Puts a set on top, in place of one of the same name.
   *
   * @return the overlay's version after it
   * @throws IllegalArgumentException if a row is of no layer, outside its table, or not as wide
   */
  public synchronized long put(RowSet set) {
    for (RowSet.Row row : set.rows()) {
      Shape table = tables.get(row.layerId());
      if (table == null) {
        throw new IllegalArgumentException(
            "row set " + set.name() + ": layer " + row.layerId() + " has no table");
      }
      if (row.rowId() < 0 || row.rowId() >= table.rows()) {
        throw new IllegalArgumentException(
            "row set %s: row %d is outside %s, which has %d rows"
                .formatted(set.name(), row.rowId(), table.name(), table.rows()));
      }
      if (row.values().length != table.headDim()) {
        throw new IllegalArgumentException(
            "row set %s: row %d has %d values, but %s has rows of %d"
                .formatted(
                    set.name(), row.rowId(), row.values().length, table.name(), table.headDim()));
      }
    }
    List<Applied> sets = without(set.name());
    sets.add(new Applied(set, version.get() + 1));
    return replace(sets);
  }

  /**
   * Takes a set off.
   *
   * @return whether it was on
   */
  public synchronized boolean remove(String name) {
    List<Applied> sets = without(name);
    if (sets.size() == state.sets().size()) {
      return false;
    }
    replace(sets);
    return true;
  }

  private List<Applied> without(String name) {
    List<Applied> sets = new ArrayList<>(state.sets());
    sets.removeIf(applied -> applied.set().name().equals(name));
    return sets;
  }

  private long replace(List<Applied> sets) {
    Map<Integer, Map<Long, float[]>> rows = new HashMap<>();
    for (Applied applied : sets) {
      for (RowSet.Row row : applied.set().rows()) {
        Shape table = Objects.requireNonNull(tables.get(row.layerId()));
        rows.computeIfAbsent(row.layerId(), id -> new HashMap<>())
            .put(row.rowId(), rounded(row.values(), table.type()));
      }
    }
    Map<Integer, Rows> replaced = new HashMap<>();
    rows.forEach((layer, values) -> replaced.put(layer, new Rows(values)));
    state = new State(List.copyOf(sets), replaced);
    return version.incrementAndGet();
  }

  private static float[] rounded(float[] values, RowType type) {
    if (!type.isExactInBf16()) {
      return values;
    }
    float[] rounded = new float[values.length];
    for (int k = 0; k < rounded.length; k++) {
      rounded[k] = Bfloat16.round(values[k]);
    }
    return rounded;
  }

  /** Returns the sets that are on, the topmost last. */
  public List<Applied> sets() {
    return state.sets();
  }

  /** Returns a number that grows with every change. */
  public long version() {
    return version.get();
  }

  /**
   * Returns the rows that are on at one moment, per layer, for lookups in several layers; an empty
   * list if no set is on, which allocates nothing.
   */
  public List<Rows> of(List<Integer> layerIds) {
    Map<Integer, Rows> now = state.rows();
    return now.isEmpty()
        ? List.of()
        : layerIds.stream().map(id -> now.getOrDefault(id, Rows.NONE)).toList();
  }

  /** Returns what is on over a layer's table just now. */
  public Rows of(int layerId) {
    return state.rows().getOrDefault(layerId, Rows.NONE);
  }

  private static void write(float[] values, MemorySegment out, long at, Dtype outType) {
    for (int k = 0; k < values.length; k++) {
      if (outType == Dtype.F32) {
        out.setAtIndex(JAVA_FLOAT_UNALIGNED, at + k, values[k]);
      } else {
        out.setAtIndex(JAVA_SHORT_UNALIGNED, at + k, Bfloat16.fromFloat(values[k]));
      }
    }
  }
}
