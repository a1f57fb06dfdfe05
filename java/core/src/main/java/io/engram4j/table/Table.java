package io.engram4j.table;

import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import io.engram4j.host.ReadAhead;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;
import java.util.function.IntSupplier;
import org.jspecify.annotations.Nullable;

/**
 * The embedding table of one layer: rows of {@code headDim} elements on a memory segment of any
 * size, row-major, little-endian, at any alignment. A {@link RowType} says how elements are stored;
 * scales lie in a second segment or, interleaved, right behind each row.
 *
 * <p>Immutable and thread-safe; whoever made the segments owns them.
 */
public final class Table {
  private final String name;
  private final RowType type;
  private final long rows;
  private final int headDim;
  private final float factor;
  private final Shard[] shards; // none if it is not in memory
  private final long shardRows; // of most shards, to guess with
  private final Strides strides;
  private final Access access;
  private final @Nullable Holding holding;
  private final RowCopy copy;

  /**
   * How rows are come by.
   *
   * @param reader fetches them, if they are not in memory
   * @param ahead asks for many at once, if they are in a mapped file
   * @param file reads them from the file, if they are in a mapped one
   * @param copies the same rows in several places, or none
   * @param near which copy is the nearest to this thread just now
   */
  private record Access(
      @Nullable RowSource reader,
      @Nullable ReadAhead ahead,
      @Nullable RowSource file,
      List<Table> copies,
      IntSupplier near) {
    static final Access MEMORY = new Access(null, null, null, List.of(), () -> 0);
  }

  /** Bytes from one row's elements, scales, biases to those of the next; 0 where there are none. */
  private record Strides(long weight, long scale, long bias) {}

  private Table(
      String name,
      RowType type,
      long rows,
      int headDim,
      float factor,
      Shard[] shards,
      Strides strides,
      Access access,
      @Nullable Holding holding) {
    this.name = name;
    this.type = type;
    this.rows = rows;
    this.headDim = headDim;
    this.factor = factor;
    this.shards = shards;
    this.shardRows = (rows + shards.length) / Math.max(1, shards.length);
    this.strides = strides;
    this.access = access;
    this.holding = holding;
    this.copy =
        new RowCopy(
            this::shardOf,
            type,
            headDim,
            strides.weight,
            strides.scale,
            strides.bias,
            isInterleaved());
  }

  /**
   * How a table is held that was opened from a file.
   *
   * @param placement where, never {@link Placement#AUTO}
   * @param hugePageBytes how many bytes of it are in huge pages, -1 if nobody knows
   * @param description what that came to, and why it was chosen
   */
  public record Holding(Placement placement, long hugePageBytes, String description) {}

  private Table with(Access other) {
    return new Table(name, type, rows, headDim, factor, shards, strides, other, holding);
  }

  /** Returns this table, which knows how it is held. */
  public Table heldAs(Holding how) {
    return new Table(name, type, rows, headDim, factor, shards, strides, access, how);
  }

  /**
   * Returns this table with one scale for all of its rows, which has been rounded as the checkpoint
   * wants it.
   *
   * @throws IllegalArgumentException if its type has none such
   */
  public Table withFactor(float other) {
    if (!type.hasFactor()) {
      throw new IllegalArgumentException(
          name + " of type " + type + " has no scale for the whole table");
    }
    return new Table(name, type, rows, headDim, other, shards, strides, access, holding);
  }

  /** Returns how it is held; nothing if it lies on segments that somebody else made. */
  public Optional<Holding> holding() {
    return Optional.ofNullable(holding);
  }

  /**
   * Returns this table, which is mapped, with ways to fetch many of its rows from disk at once and
   * to read them as they are: {@link #read} must not copy out of the mapping, since the file could
   * become shorter under it.
   */
  public Table ofFile(ReadAhead ahead, RowSource file) {
    return with(new Access(access.reader, ahead, file, access.copies, access.near));
  }

  /**
   * One table of which there are several copies, such as one per NUMA node.
   *
   * @param copies tables in memory with the same rows
   * @param near which of them a lookup of this thread takes; called for each lookup
   */
  public static Table copied(List<Table> copies, IntSupplier near) {
    return copies.getFirst().with(new Access(null, null, null, List.copyOf(copies), near));
  }

  /** Returns the copies of the rows: usually this table alone. */
  public List<Table> copies() {
    return access.copies.isEmpty() ? List.of(this) : access.copies;
  }

  /** Returns the place in {@link #copies} of the one that is the nearest to this thread. */
  public int nearest() {
    return access.copies.isEmpty() ? 0 : access.near.getAsInt();
  }

  /**
   * A table that is not in memory: its rows are fetched when they are wanted.
   *
   * @param source fetches rows
   */
  public static Table streamed(
      String name, RowType type, long rows, int headDim, RowSource source) {
    if (rows < 1 || headDim < 1) {
      throw new IllegalArgumentException(name + " has " + rows + " rows of " + headDim);
    }
    Access access = new Access(source, null, null, List.of(), () -> 0);
    Strides none = new Strides(0, 0, 0);
    return new Table(name, type, rows, headDim, 1, new Shard[0], none, access, null);
  }

  /** Returns whether rows may become others while the table is open, as remote ones may. */
  public boolean mayChange() {
    return access.reader != null && access.reader.generation() != 0;
  }

  /** Returns whether the rows are in memory, and so {@link #weight} can be called. */
  public boolean isInMemory() {
    return access.reader == null;
  }

  /**
   * Fetches rows as they are, each with its scales behind it.
   *
   * @param rowIds int64 [count], each -1 or a row of this table; what stands for -1 is left as it
   *     is
   * @param rows [count, rowBytes], written, from any thread
   * @throws IndexOutOfBoundsException at an id outside the table; then nothing is written
   * @throws java.io.UncheckedIOException if rows cannot be read
   */
  public void read(MemorySegment rowIds, long count, MemorySegment rows) {
    begin(rowIds, count, rows, null).end();
  }

  /** Begins to do that: {@link RowSource#begin}. Rows in memory are there when this returns. */
  public RowSource.Reading begin(
      MemorySegment rowIds, long count, MemorySegment rows, RowSource.@Nullable Round round) {
    for (long i = 0; i < count; i++) {
      check(rowIds.getAtIndex(JAVA_LONG_UNALIGNED, i));
    }
    if (access.reader != null) {
      return access.reader.begin(rowIds, count, rows, round);
    }
    copies().get(nearest()).copy(rowIds, count, rows);
    return RowSource.Reading.DONE;
  }

  /** Returns the tables that are read together with this one: {@link RowSource#group}. */
  public RowSource.@Nullable Group group() {
    return access.reader == null ? null : access.reader.group();
  }

  private void copy(MemorySegment rowIds, long count, MemorySegment rows) {
    if (access.ahead != null) {
      willNeed(access.ahead, rowIds, count);
    }
    if (access.file != null) {
      access.file.read(rowIds, count, rows);
      return;
    }
    copy.copy(rowIds, count, rows);
  }

  /**
   * A table whose rows follow each other, with scales, if the type has them, in a second segment.
   *
   * @param name what messages call it, such as the tensor's name
   * @param weight [rows, bytes of a row's elements]
   * @param scale [rows, bytes of a row's scales], or null for types without scales beside
   * @throws IllegalArgumentException if a segment's size is not that of the shape, or scales are
   *     missing or not wanted
   */
  public static Table of(
      String name,
      RowType type,
      long rows,
      int headDim,
      MemorySegment weight,
      @Nullable MemorySegment scale) {
    return sharded(name, type, rows, headDim, List.of(new Shard(0, weight, scale, null)));
  }

  /**
   * A table that lies in several places, elements, scales and biases in segments of their own.
   *
   * @param shards in the order of their rows, the first from row 0 on
   * @throws IllegalArgumentException if they are not in order, a segment's size is not that of its
   *     rows, or scales or biases are missing or not wanted
   */
  public static Table sharded(
      String name, RowType type, long rows, int headDim, List<Shard> shards) {
    Strides strides =
        new Strides(type.elementBytes(headDim), type.scaleBytes(headDim), type.biasBytes(headDim));
    ShardChecks.check(name, type, rows, headDim, shards);
    return new Table(
        name, type, rows, headDim, 1, shards.toArray(new Shard[0]), strides, Access.MEMORY, null);
  }

  /**
   * A table of interleaved rows: each row's elements, then its scales and biases if it has any,
   * then the next row. One row is then one run of memory, which is a page and a cache line less to
   * fetch.
   *
   * @param data [rows, rowBytes]
   * @throws IllegalArgumentException if the segment's size is not that of the shape
   */
  public static Table interleaved(
      String name, RowType type, long rows, int headDim, MemorySegment data) {
    long stride = type.rowBytes(headDim);
    ShardChecks.size(name, data, rows, stride);
    boolean scaled = type.hasScalesBeside();
    boolean biased = type.biasBytes() > 0;
    long scaleAt = type.elementBytes(headDim);
    Shard all =
        new Shard(
            0,
            data,
            scaled ? data.asSlice(scaleAt) : null,
            biased ? data.asSlice(scaleAt + type.scaleBytes(headDim)) : null);
    Strides strides = new Strides(stride, scaled ? stride : 0, biased ? stride : 0);
    return new Table(name, type, rows, headDim, 1, new Shard[] {all}, strides, Access.MEMORY, null);
  }

  /**
   * Returns rows of this table that {@link #read} has written, as a table of their own.
   *
   * @param data [count, rowBytes]
   */
  public Table ofRead(long count, MemorySegment data) {
    Table rows = interleaved(name, type, count, headDim, data);
    return type.hasFactor() ? rows.withFactor(factor) : rows;
  }

  /** Returns what messages call this table. */
  public String name() {
    return name;
  }

  /** Returns how rows are stored. */
  public RowType type() {
    return type;
  }

  /** Returns what was read from disk so far, if the table is not in memory. */
  public RowSource.Statistics statistics() {
    return access.reader == null ? RowSource.Statistics.NONE : access.reader.statistics();
  }

  /** All rows are asked for before the first is waited for. */
  private void willNeed(ReadAhead ahead, MemorySegment rowIds, long count) {
    long bytes = type.elementBytes(headDim);
    for (long i = 0; i < count; i++) {
      long id = rowIds.getAtIndex(JAVA_LONG_UNALIGNED, i);
      if (id < 0) {
        continue;
      }
      Shard shard = shardOf(id);
      long row = id - shard.first();
      ahead.willNeed(shard.weight(), row * strides.weight, bytes);
      if (shard.scale() != null && !isInterleaved()) {
        ahead.willNeed(shard.scale(), row * strides.scale, type.scaleBytes(headDim));
      }
      if (shard.bias() != null && !isInterleaved()) {
        ahead.willNeed(shard.bias(), row * strides.bias, type.biasBytes(headDim));
      }
    }
  }

  /** Returns the number of rows. */
  public long rows() {
    return rows;
  }

  /** Returns the elements of a row. */
  public int headDim() {
    return headDim;
  }

  /** Returns the scale of the whole table, 1 where the type has none. */
  public float factor() {
    return factor;
  }

  /**
   * Returns where the rows lie, in their order.
   *
   * @throws IllegalStateException if the table is not in memory
   */
  public List<Shard> shards() {
    requireInMemory();
    return List.of(shards);
  }

  /** Returns where a row lies that {@link #check} has let pass, in a table in memory. */
  public Shard shardOf(long row) {
    if (shards.length == 1) {
      return shards[0];
    }
    int at = (int) (row / shardRows); // most shards have as many rows, so it is this or one beside
    while (row < shards[at].first()) {
      at--;
    }
    while (at + 1 < shards.length && row >= shards[at + 1].first()) {
      at++;
    }
    return shards[at];
  }

  private void requireInMemory() {
    if (access.reader != null) {
      throw new IllegalStateException(name + " is not in memory");
    }
  }

  /**
   * Returns the rows' elements, of a table in one place.
   *
   * @throws IllegalStateException if it is not in memory, or in several
   */
  public MemorySegment weight() {
    requireInMemory();
    if (shards.length != 1) {
      throw new IllegalStateException(name + " lies in " + shards.length + " places");
    }
    return shards[0].weight();
  }

  /** Returns whether rows in memory have scales beside. */
  public boolean hasScales() {
    return shards.length > 0 && type.hasScalesBeside();
  }

  /** Returns whether each row's scales lie right behind it, so that a row is one run of memory. */
  public boolean isInterleaved() {
    return !type.hasScalesBeside() || strides.weight == rowBytes();
  }

  /** Returns the rows' block scales, of a table in one place. */
  public MemorySegment scale() {
    weight(); // throws if it is not
    MemorySegment scale = shards[0].scale();
    if (scale == null) {
      throw new IllegalStateException(name + " of type " + type + " has no scales");
    }
    return scale;
  }

  /** Returns the bytes from one row's elements to those of the next. */
  public long weightStride() {
    return strides.weight;
  }

  /** Returns the bytes from one row's scales to those of the next, 0 without scales. */
  public long scaleStride() {
    return strides.scale;
  }

  /** Returns the bytes from one row's biases to those of the next, 0 without biases. */
  public long biasStride() {
    return strides.bias;
  }

  /** Returns the bytes that a row takes, scales included. */
  public long rowBytes() {
    return type.rowBytes(headDim);
  }

  /**
   * Checks a row id: the row's own, or -1 for a row of zeros.
   *
   * @throws IndexOutOfBoundsException if it is neither
   */
  public long check(long rowId) {
    if (rowId < -1 || rowId >= rows) {
      throw new IndexOutOfBoundsException(
          "row id " + rowId + " is outside " + name + ", which has " + rows + " rows");
    }
    return rowId;
  }
}
