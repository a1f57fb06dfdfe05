package io.engram4j.bench;

import io.engram4j.Backends;
import io.engram4j.kernel.Backend;
import io.engram4j.model.Dtype;
import io.engram4j.table.RowType;
import io.engram4j.table.Table;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
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

/** Stage gather of random V4.1 rows, 256 fp8 codes and 8 scales each: rows a second. */
@State(Scope.Thread)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
public class GatherBenchmark {
  private static final int HEAD_DIM = 256;
  private static final int TOKEN_ROWS = 24;
  private static final int CHUNKS = 1024;

  /** The backend to run. */
  @Param("java")
  public String backend = "java";

  /** Rows of the table; the default makes it 1.06 GB, far more than any cache. */
  @Param("4000000")
  public long rows = 4_000_000;

  /** The type that rows come out as. */
  @Param({"F32", "BF16"})
  public Dtype out = Dtype.F32;

  private final Arena arena = Arena.ofShared();
  private Backend.@Nullable Gather kernel;
  private MemorySegment rowIds = MemorySegment.NULL;
  private MemorySegment gathered = MemorySegment.NULL;
  private int chunk;

  /** Fills the table, so that every page is there. */
  @Setup
  public void setup() {
    MemorySegment weight = arena.allocate(rows * HEAD_DIM, 64);
    MemorySegment scale = arena.allocate(rows * RowType.F8_E4M3.scaleBytes(HEAD_DIM), 64);
    SplittableRandom random = new SplittableRandom(1);
    for (long i = 0; i < weight.byteSize() / 8; i++) {
      // codes up to 0x6f: no NaN
      weight.setAtIndex(ValueLayout.JAVA_LONG, i, random.nextLong() & 0xefefefefefefefefL);
    }
    scale.fill((byte) 120);
    Table table = Table.of("table", RowType.F8_E4M3, rows, HEAD_DIM, weight, scale);
    kernel = Backends.named(backend).gather(table, Arena.global());
    rowIds = arena.allocate(8L * TOKEN_ROWS * CHUNKS, 64);
    for (int i = 0; i < TOKEN_ROWS * CHUNKS; i++) {
      rowIds.setAtIndex(ValueLayout.JAVA_LONG, i, random.nextLong(rows));
    }
    gathered = arena.allocate(4L * TOKEN_ROWS * HEAD_DIM, 64);
  }

  /** Frees the table. */
  @TearDown
  public void tearDown() {
    arena.close();
  }

  /** The rows of one token, other ones every time. */
  @Benchmark
  @OperationsPerInvocation(TOKEN_ROWS)
  public void decode() {
    chunk = (chunk + 1) % CHUNKS;
    MemorySegment ids = rowIds.asSlice(8L * TOKEN_ROWS * chunk, 8L * TOKEN_ROWS);
    Objects.requireNonNull(kernel).run(ids, TOKEN_ROWS, gathered, out);
  }
}
