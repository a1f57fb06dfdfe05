package io.engram4j.bench.guard;

import io.engram4j.Backends;
import io.engram4j.kernel.Backend;
import io.engram4j.model.Dtype;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.EngramLayout;
import io.engram4j.model.HiddenStream;
import io.engram4j.model.LayerLayout;
import io.engram4j.table.RowType;
import io.engram4j.table.Table;
import io.engram4j.weights.GateWeights;
import io.engram4j.weights.GateWeights.ZeroRule;
import io.engram4j.weights.Linear;
import io.engram4j.weights.Projection;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * One side of {@code ci/bench-guard}: kernels on small shapes that the caches hold, run when {@link
 * GuardRace} says so. Compiled against each commit's own classes, so it names as few as it can.
 *
 * <p>Reads the name of a case a line, runs it for some milliseconds and answers with nanoseconds a
 * run; before that it has told the names, and an empty line.
 */
public final class GuardCases {
  private static final int COLUMNS = 24;
  private static final int HEAD_DIM = 256;
  private static final int INPUTS = COLUMNS * HEAD_DIM;
  private static final int HIDDEN = 256;
  private static final int BRANCHES = 4;
  private static final int OUTPUTS = (BRANCHES + 1) * HIDDEN;
  private static final int MOST = 64;
  private static final long LEAST_NANOS = 5_000_000;

  private final SplittableRandom random = new SplittableRandom(3);
  private final Map<String, Runnable> cases = new LinkedHashMap<>();
  private final LayerLayout layout =
      EngramLayout.of(
              EngramConfig.builder()
                  .hiddenSize(HIDDEN)
                  .branches(BRANCHES)
                  .layerIds(List.of(1))
                  .ngrams(4, 401)
                  .heads(8, HEAD_DIM)
                  .padTokenId(2)
                  .build(),
              99_092)
          .getFirst();
  private final Table table =
      Table.interleaved(
          "guard",
          RowType.F8_E4M3,
          layout.rows(),
          HEAD_DIM,
          codes(layout.rows() * (HEAD_DIM + HEAD_DIM / 32)));
  private final Projection projection =
      new Projection(
          List.of(
              new Linear(
                  "wkv",
                  OUTPUTS,
                  INPUTS,
                  RowType.F8_E4M3,
                  codes((long) OUTPUTS * INPUTS),
                  allocate((long) OUTPUTS / 32 * INPUTS / 32).fill((byte) 113),
                  null)));
  private final GateWeights weights =
      new GateWeights(
          BRANCHES,
          HIDDEN,
          ones(BRANCHES * HIDDEN),
          ones(BRANCHES * HIDDEN),
          1e-6,
          ZeroRule.COPYSIGN);

  private GuardCases() {}

  /** Answers until its input ends. */
  public static void main(String[] args) throws IOException {
    GuardCases guard = new GuardCases();
    for (String tier : args) {
      guard.add(tier);
    }
    guard.cases.keySet().forEach(System.out::println);
    System.out.println();
    try (BufferedReader in =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
      for (String name = in.readLine(); name != null; name = in.readLine()) {
        Runnable body = guard.cases.get(name);
        System.out.println(body == null ? "none" : Double.toString(nanos(body)));
      }
    }
  }

  private static double nanos(Runnable body) {
    long runs = 0;
    long start = System.nanoTime();
    long elapsed;
    do {
      body.run();
      runs++;
      elapsed = System.nanoTime() - start;
    } while (elapsed < LEAST_NANOS);
    return (double) elapsed / runs;
  }

  /** The stages of a tier of the C kernels, or of another backend; nothing if it is not here. */
  private void add(String tier) {
    Backend backend;
    if (tier.equals("vector")) {
      backend = Backends.named("vector");
    } else {
      System.setProperty("engram.cpu.maxTier", tier);
      try {
        backend = Backends.named("cpu");
      } catch (IllegalArgumentException e) { // an older commit that does not know the tier
        return;
      }
      if (!backend.description().contains("tier " + tier + ",")) {
        return;
      }
    }
    Arena arena = Arena.global();
    MemorySegment windows = allocate(4L * 4 * MOST);
    for (int i = 0; i < 4 * MOST; i++) {
      windows.setAtIndex(ValueLayout.JAVA_INT, i, random.nextInt(99_092));
    }
    MemorySegment ids = allocate(8L * COLUMNS * MOST);
    MemorySegment rows = allocate(4L * INPUTS * MOST);
    MemorySegment kv = allocate(4L * OUTPUTS * MOST);
    MemorySegment mask = allocate(MOST).fill((byte) 1);
    MemorySegment gates = allocate(4L * BRANCHES * MOST);
    Backend.Hash hash = backend.hash(layout, arena);
    Backend.Gather gather = backend.gather(table, arena);
    Backend.Project project = backend.project(projection, arena);
    Backend.Gate gate = backend.gate(weights, arena);
    hash.run(windows, MOST, ids);
    for (int tokens : new int[] {1, 8, MOST}) {
      String size = ", " + tokens + ", " + tier;
      cases.put("hash" + size, () -> hash.run(windows, tokens, ids));
      long count = (long) COLUMNS * tokens;
      cases.put("gather F32" + size, () -> gather.run(ids, count, rows, Dtype.F32));
      cases.put("gather BF16" + size, () -> gather.run(ids, count, rows, Dtype.BF16));
      cases.put(
          "project" + size,
          () -> {
            gather.run(ids, count, rows, Dtype.F32); // bf16 numbers, whatever ran before
            project.run(rows, tokens, 0, OUTPUTS, kv);
          });
      for (Dtype type : List.of(Dtype.F32, Dtype.BF16)) {
        HiddenStream stream =
            HiddenStream.of(
                allocate((long) type.bytes() * MOST * BRANCHES * HIDDEN), type, BRANCHES, HIDDEN);
        cases.put("gate " + type + size, () -> gate.run(kv, stream, mask, tokens, gates, null));
      }
    }
  }

  private static MemorySegment allocate(long bytes) {
    return Arena.global().allocate(bytes, 64);
  }

  /** Codes and scales alike: no NaN, and scales near 2^-14 where they are read as such. */
  private MemorySegment codes(long bytes) {
    MemorySegment data = allocate(bytes);
    for (long i = 0; i < bytes; i++) {
      data.set(ValueLayout.JAVA_BYTE, i, (byte) (0x60 + random.nextInt(0x1f)));
    }
    return data;
  }

  private static float[] ones(int count) {
    float[] values = new float[count];
    java.util.Arrays.fill(values, 1);
    return values;
  }
}
