package io.engram4j.bench;

import com.github.benmanes.caffeine.cache.Cache;
import com.github.benmanes.caffeine.cache.Caffeine;
import io.engram4j.table.Placement;
import io.engram4j.table.RowSource;
import io.engram4j.table.RowType;
import io.engram4j.table.Table;
import io.engram4j.table.TableOptions;
import io.engram4j.table.io.HeldTable;
import io.engram4j.table.io.PackedFile;
import io.engram4j.table.io.Packer;
import io.engram4j.table.io.TableFile;
import io.engram4j.table.io.TableFile.Region;
import io.engram4j.table.io.TableOpener;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Objects;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * What a cached row costs: rows a second out of the table's own cache, out of a general cache with
 * a byte array per row (Caffeine), and out of memory without any cache. The file is in the page
 * cache, so a miss is cheap. Rows are asked for as often as words are used (Zipf).
 */
@State(Scope.Thread)
@Fork(1)
@Warmup(iterations = 3, time = 2)
@Measurement(iterations = 5, time = 2)
public class RowCacheBenchmark {
  private static final int TOKEN_ROWS = 24;
  private static final int CHUNKS = 40_000;
  private static final int HEAD_DIM = 256;

  /** Where rows come from: own, caffeine, or none. */
  @Param({"own", "caffeine", "none"})
  public String cache = "own";

  /** Rows of the table. */
  @Param("500000")
  public long rows = 500_000;

  /** Percent of the table's rows that the cache holds. */
  @Param({"100", "10"})
  public int percent = 100;

  private final Arena arena = Arena.ofShared();
  private Path directory = Path.of("");
  private @Nullable HeldTable held;
  private @Nullable Table table;
  private MemorySegment rowIds = MemorySegment.NULL;
  private MemorySegment read = MemorySegment.NULL;
  private int chunk;
  private long misses;
  private long lookups;

  /** Makes the table and the ids, and fills the cache. */
  @Setup
  public void setup() throws IOException {
    directory = Files.createTempDirectory("engram-cache");
    long rowBytes = RowType.F8_E4M3.rowBytes(HEAD_DIM);
    TableFile file = file(rowBytes);
    long budget = (rowBytes + 9) * rows * percent / 100;
    TableOptions options =
        TableOptions.defaults()
            .placement(Placement.MAPPED)
            .cacheBytes(cache.equals("own") ? budget : 0);
    held = new TableOpener(options).open(file, file.bytes(), arena);
    table = held.table();
    if (cache.equals("caffeine")) {
      Table below = table;
      RowSource reader = caffeine(below, rows * percent / 100);
      table = Table.streamed("rows", RowType.F8_E4M3, rows, HEAD_DIM, reader);
    }
    rowIds = arena.allocate(8L * TOKEN_ROWS * CHUNKS, 64);
    SplittableRandom random = new SplittableRandom(2);
    for (int i = 0; i < TOKEN_ROWS * CHUNKS; i++) {
      long rank = (long) Math.pow((double) rows, random.nextDouble()) - 1; // Zipf, nearly
      rowIds.setAtIndex(ValueLayout.JAVA_LONG, i, rank * 7919 % rows);
    }
    read = arena.allocate(TOKEN_ROWS * rowBytes, 64);
    for (int i = 0; i < CHUNKS; i++) {
      token();
    }
    misses = 0;
    lookups = 0;
  }

  private TableFile file(long rowBytes) throws IOException {
    byte[] bytes = new byte[Math.toIntExact(rows * HEAD_DIM)];
    new SplittableRandom(1).nextBytes(bytes);
    Path weight = Files.write(directory.resolve("weight"), bytes);
    long scales = rowBytes - HEAD_DIM;
    byte[] scale = new byte[Math.toIntExact(rows * scales)];
    Path scaleFile = Files.write(directory.resolve("scale"), scale);
    TableFile shards =
        new TableFile(
            "rows",
            RowType.F8_E4M3,
            rows,
            HEAD_DIM,
            new Region(weight, 0, HEAD_DIM, HEAD_DIM),
            new Region(scaleFile, 0, scales, (int) scales));
    PackedFile packed = Packer.pack(shards, directory.resolve("rows"), 2, done -> {});
    Files.delete(weight);
    Files.delete(scaleFile);
    return packed.table();
  }

  private RowSource caffeine(Table below, long most) {
    Cache<Long, byte[]> entries =
        Caffeine.newBuilder().maximumSize(most).executor(Runnable::run).build();
    int rowBytes = Math.toIntExact(below.rowBytes());
    MemorySegment id = Arena.global().allocate(8);
    MemorySegment row = Arena.global().allocate(rowBytes);
    return (ids, count, to) -> {
      for (int i = 0; i < count; i++) {
        long wanted = ids.getAtIndex(ValueLayout.JAVA_LONG, i);
        byte[] found = entries.getIfPresent(wanted);
        if (found == null) {
          misses++;
          id.set(ValueLayout.JAVA_LONG, 0, wanted);
          below.read(id, 1, row);
          found = row.toArray(ValueLayout.JAVA_BYTE);
          entries.put(wanted, found);
        }
        MemorySegment.copy(found, 0, to, ValueLayout.JAVA_BYTE, (long) i * rowBytes, rowBytes);
      }
    };
  }

  /** Tells how many lookups the cache served. */
  @TearDown
  public void tearDown() throws IOException {
    HeldTable open = Objects.requireNonNull(held);
    if (cache.equals("own")) {
      RowSource.Statistics all = open.table().statistics();
      misses = all.misses();
      lookups = all.hits() + all.misses();
    }
    if (!cache.equals("none")) {
      System.out.printf(Locale.ROOT, "%ncache hits: %.1f %%%n", 100 - 100.0 * misses / lookups);
    }
    open.close();
    arena.close();
    Files.delete(directory.resolve("rows"));
    Files.delete(directory);
  }

  /** The rows of one token, others every time. */
  @Benchmark
  @OperationsPerInvocation(TOKEN_ROWS)
  public void token() {
    chunk = (chunk + 1) % CHUNKS;
    lookups += TOKEN_ROWS;
    MemorySegment ids = rowIds.asSlice(8L * TOKEN_ROWS * chunk, 8L * TOKEN_ROWS);
    Objects.requireNonNull(table).read(ids, TOKEN_ROWS, read);
  }
}
