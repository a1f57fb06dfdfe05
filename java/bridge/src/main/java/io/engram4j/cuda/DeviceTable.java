package io.engram4j.cuda;

import io.engram4j.bindings.cuda.EngramCuda;
import io.engram4j.bridge.Plans;
import io.engram4j.table.Shard;
import io.engram4j.table.Table;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** From where a device reads one table's rows. */
final class DeviceTable {
  private final Table table;
  private final CudaOptions.Tables held;
  private final @Nullable String reason;
  private final @Nullable MemorySegment plan; // null where rows are staged
  private final @Nullable DeviceCache cache;
  private final boolean cacheLookups;

  private DeviceTable(
      Table table,
      CudaOptions.Tables held,
      @Nullable String reason,
      @Nullable MemorySegment plan,
      @Nullable DeviceCache cache,
      boolean cacheLookups) {
    this.table = table;
    this.held = held;
    this.reason = reason;
    this.plan = plan;
    this.cache = cache;
    this.cacheLookups = cacheLookups;
  }

  /**
   * Brings the tables of a model within reach of a device, as the options say.
   *
   * @throws IllegalStateException if the host's memory, and nothing else, was asked for and is
   *     refused, or the table is streamed
   * @throws CudaException if the device's memory is too small
   */
  static List<DeviceTable> of(
      List<Table> tables, CudaOptions options, DeviceMemory memory, CudaStream stream) {
    boolean inPlace =
        options.tables() == CudaOptions.Tables.AUTO || options.tables() == CudaOptions.Tables.HOST;
    List<List<MemorySegment>> together = new ArrayList<>();
    for (Table table : tables) {
      if (inPlace && problem(table) == null) {
        together.add(memoryOf(table));
      }
    }
    PinnedRanges pinned = PinnedRanges.register(together, memory);
    List<DeviceTable> made = new ArrayList<>();
    for (Table table : tables) {
      made.add(one(table, options, pinned, memory, stream));
    }
    return made;
  }

  /** Returns why a table cannot be read by its address, or null if it can. */
  private static @Nullable String problem(Table table) {
    if (!table.isInMemory()) {
      return "it is streamed, or of a backend that maps no files";
    }
    return memoryOf(table).stream().allMatch(MemorySegment::isNative)
        ? null
        : "it is on the Java heap";
  }

  /** The segments with a table's rows; of interleaved rows one has all. */
  private static List<MemorySegment> memoryOf(Table table) {
    Table copy = table.copies().getFirst();
    List<MemorySegment> memory = new ArrayList<>();
    for (Shard shard : copy.shards()) {
      memory.add(shard.weight());
      if (!copy.isInterleaved()) {
        Stream.of(shard.scale(), shard.bias()).filter(Objects::nonNull).forEach(memory::add);
      }
    }
    return memory;
  }

  private static DeviceTable one(
      Table table,
      CudaOptions options,
      PinnedRanges pinned,
      DeviceMemory memory,
      CudaStream stream) {
    String problem = problem(table);
    switch (options.tables()) {
      case STAGED -> {
        return staged(table, null);
      }
      case DEVICE -> {
        if (problem != null) {
          throw new IllegalArgumentException(
              table.name() + " cannot be copied to the device: " + problem);
        }
        return reachable(table, CudaOptions.Tables.DEVICE, options, memory, stream, memory::upload);
      }
      default -> {
        if (problem == null) {
          problem = pinned.problem(memoryOf(table));
        }
        if (problem != null && options.tables() == CudaOptions.Tables.HOST) {
          throw new IllegalStateException(
              table.name() + " cannot be read in the host's memory: " + problem);
        }
        return problem != null
            ? staged(table, problem)
            : reachable(table, CudaOptions.Tables.HOST, options, memory, stream, pinned::address);
      }
    }
  }

  private static DeviceTable staged(Table table, @Nullable String reason) {
    return new DeviceTable(table, CudaOptions.Tables.STAGED, reason, null, null, false);
  }

  private static DeviceTable reachable(
      Table table,
      CudaOptions.Tables held,
      CudaOptions options,
      DeviceMemory memory,
      CudaStream stream,
      UnaryOperator<MemorySegment> place) {
    Table copy = table.copies().getFirst();
    List<Placed> placed =
        memoryOf(table).stream().map(segment -> new Placed(segment, place.apply(segment))).toList();
    Plans plans = new Plans(memory.structs(), segment -> placed(segment, placed, memory));
    MemorySegment plan = plans.table(copy);
    DeviceCache cache = null;
    if (options.cacheBytes() > 0 && held != CudaOptions.Tables.DEVICE) {
      cache = new DeviceCache(table, options.cacheBytes(), memory, stream);
      if (options.seed() != null) {
        cache.seed(plan, options.seed().of(table.name()), stream);
      }
    }
    return new DeviceTable(table, held, null, plan, cache, options.cacheLookups());
  }

  /** Some of a table's memory, and where the device reads it. */
  private record Placed(MemorySegment host, MemorySegment device) {}

  /** Returns where some of a table's memory is on the device, or puts what is none there. */
  private static MemorySegment placed(
      MemorySegment segment, List<Placed> placed, DeviceMemory memory) {
    for (Placed whole : placed) {
      long from = segment.address() - whole.host.address();
      if (from >= 0 && from < whole.host.byteSize()) {
        return MemorySegment.ofAddress(whole.device.address() + from);
      }
    }
    return memory.upload(segment);
  }

  /** Returns whether the host must send the rows. */
  boolean isStaged() {
    return plan == null;
  }

  /** Queues the gathering of rows; not of a staged table. */
  void gather(CudaStream stream, MemorySegment rowIds, long count, MemorySegment out, int outType) {
    MemorySegment from = plan;
    if (from == null) {
      throw new IllegalStateException(table.name() + " is staged");
    }
    MemorySegment first = cache == null ? MemorySegment.NULL : cache.plan();
    CudaLibrary.check(
        "engram_cuda_gather",
        EngramCuda.engram_cuda_gather(
            stream.queue(), from, first, rowIds, count, out, outType, MemorySegment.NULL));
  }

  /** Queues that rows which were gathered come into the cache, if the options say so. */
  void keep(CudaStream stream, MemorySegment rowIds, long count) {
    if (plan != null && cache != null && cacheLookups) {
      cache.insert(plan, rowIds, count, false, stream);
    }
  }

  /** Tells how it is held; waits for the stream if there is a cache. */
  CudaStatistics statistics(int layer, long lookups, CudaStream stream) {
    long[] counts = cache == null ? new long[2] : cache.counts(stream);
    return new CudaStatistics(layer, table.name(), held, reason, lookups, counts[0], counts[1]);
  }

  Table table() {
    return table;
  }
}
