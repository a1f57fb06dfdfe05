package io.engram4j.bench;

import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.LayerWeights;
import io.engram4j.backend.Backend;
import io.engram4j.backend.Backends;
import io.engram4j.format.Dtype;
import io.engram4j.gate.GateWeights;
import io.engram4j.gate.HiddenStream;
import io.engram4j.gather.Table;
import io.engram4j.layout.EngramConfig;
import io.engram4j.layout.EngramLayout;
import io.engram4j.layout.LayerLayout;
import io.engram4j.map.TokenMap;
import io.engram4j.project.Projection;
import io.engram4j.table.HeldTable;
import io.engram4j.table.PackedFile;
import io.engram4j.table.Placement;
import io.engram4j.table.TableFile;
import io.engram4j.table.TableOpener;
import io.engram4j.table.TableOptions;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.jspecify.annotations.Nullable;

/**
 * A decode loop at V4.1's widths: a stack of layers that reads its weights from memory, with two
 * Engram layers in it, token by token, the n-grams new each time. The same loop with rows from a
 * fixed buffer is the measure; the loss against it is what tables cost. Placements take turns, so
 * that a noisy machine is noisy for all.
 *
 * <p>Arguments: a directory on the disk to be measured, gigabytes of tables (8), rounds (9), tokens
 * a round (20). Cold means that the page cache was dropped before each round, which needs root.
 */
public final class DecodeLoop {
  private static final int HIDDEN = 5120;
  private static final int BRANCHES = 4;
  private static final int VOCABULARY = 99_092;

  private final EngramConfig config;
  private final List<LayerLayout> layouts;
  private final Backend backend = Backends.select();
  private final Projection wkv = DecodeWeights.projection(25_600);
  private final Backend.Project stack = backend.project(DecodeWeights.projection(12_288));
  private final MemorySegment stackIn = Arena.ofAuto().allocate(4L * 6144, 64);
  private final MemorySegment stackOut = Arena.ofAuto().allocate(4L * 12_288, 64);
  private final SplittableRandom random = new SplittableRandom(11);

  private DecodeLoop(double gigabytes) {
    long start = (long) (gigabytes * 1e9 / 2 / 264 / 24);
    this.config =
        new EngramConfig(
            EngramConfig.Variant.V41,
            HIDDEN,
            BRANCHES,
            List.of(1, 14),
            4,
            Collections.nCopies(3, start),
            8,
            256,
            2,
            0,
            1e-20,
            0,
            OptionalInt.empty(),
            OptionalInt.empty(),
            List.of());
    this.layouts = EngramLayout.of(config, VOCABULARY);
  }

  /** One way to hold the tables, and whether rows are fetched ahead. */
  private record Run(String name, EngramModel model, boolean ahead, boolean cold) {}

  /** Runs it and prints a table. */
  public static void main(String[] args) throws IOException {
    Path directory = Path.of(args[0]);
    double gigabytes = args.length > 1 ? Double.parseDouble(args[1]) : 8;
    int rounds = args.length > 2 ? Integer.parseInt(args[2]) : 9;
    int tokens = args.length > 3 ? Integer.parseInt(args[3]) : 20;
    DecodeLoop loop = new DecodeLoop(gigabytes);
    if (args.length > 4 && args[4].equals("prefill")) {
      PrefillReads.run(directory, loop.layouts.getFirst(), rounds);
      return;
    }
    List<TableFile> files = new ArrayList<>();
    for (LayerLayout layout : loop.layouts) {
      files.add(DecodeWeights.table(directory, layout));
    }
    loop.measure(files, rounds, tokens);
  }

  private EngramModel model(List<TableFile> files, @Nullable Placement placement)
      throws IOException {
    Arena arena = Arena.ofShared();
    List<LayerWeights> weights = new ArrayList<>();
    float[] ones = new float[HIDDEN * BRANCHES];
    Arrays.fill(ones, 1);
    for (int i = 0; i < layouts.size(); i++) {
      GateWeights gate =
          new GateWeights(BRANCHES, HIDDEN, ones, ones, 1e-20, GateWeights.ZeroRule.COPYSIGN);
      Table table;
      if (placement == null) {
        table =
            Table.streamed("fixed", Dtype.F8_E4M3, layouts.get(i).rows(), 256, (ids, n, to) -> {});
      } else {
        TableOptions options = TableOptions.defaults().placement(placement);
        HeldTable held = new TableOpener(options).open(files.get(i), 1, arena);
        System.out.printf(Locale.ROOT, "%s: %s%n", placement, held.description());
        table = held.table();
      }
      weights.add(new LayerWeights(table, wkv, gate, null));
    }
    int[] identity = new int[VOCABULARY];
    Arrays.setAll(identity, id -> id);
    return new EngramModel(config, TokenMap.of(identity), weights, backend, arena);
  }

  private void measure(List<TableFile> files, int rounds, int tokens) throws IOException {
    EngramModel mapped = model(files, Placement.MAPPED);
    EngramModel streamed = model(files, Placement.STREAMED);
    EngramModel resident = model(files, Placement.RESIDENT);
    List<Run> runs = new ArrayList<>();
    runs.add(new Run("fixed buffer", model(files, null), true, false));
    boolean canDrop = dropCache();
    for (boolean ahead : new boolean[] {true, false}) {
      runs.add(new Run("resident", resident, ahead, false));
      runs.add(new Run("mapped warm", mapped, ahead, false));
      if (canDrop) {
        runs.add(new Run("mapped cold", mapped, ahead, true));
        runs.add(new Run("streamed", streamed, ahead, true));
      }
    }
    Map<Run, List<Double>> times = new LinkedHashMap<>();
    try (ExecutorService pool = Executors.newFixedThreadPool(2)) {
      for (int round = -1; round < rounds; round++) {
        for (Run run : runs) {
          if (run.cold()) {
            dropCache();
          } else if (run.name().equals("mapped warm")) {
            warm(files);
          }
          double millis = round(run, pool, tokens);
          if (round >= 0) {
            times.computeIfAbsent(run, r -> new ArrayList<>()).add(millis);
          }
        }
      }
    }
    show(times);
  }

  /** Returns milliseconds a token. */
  private double round(Run run, ExecutorService pool, int tokens) {
    EngramSequence sequence = run.model().newSequence();
    MemorySegment stream = Arena.ofAuto().allocate(4L * HIDDEN * BRANCHES, 64);
    HiddenStream hidden = HiddenStream.of(stream, Dtype.F32, BRANCHES, HIDDEN);
    int[] token = new int[1];
    sequence.append(new int[] {1, 2, 3});
    long start = System.nanoTime();
    for (int i = 0; i < tokens; i++) {
      token[0] = random.nextInt(VOCABULARY);
      sequence.append(token);
      if (run.ahead()) {
        sequence.prefetch(1, pool);
      }
      for (EngramLayer layer : run.model().layers()) {
        stack.run(stackIn, 1, stackOut); // the model's other layers
        layer.apply(sequence, 1, hidden);
      }
    }
    return (System.nanoTime() - start) / 1e6 / tokens;
  }

  /** Losses are medians over rounds, each against the fixed buffer of its own round. */
  private static void show(Map<Run, List<Double>> times) {
    List<Double> fixed = times.values().iterator().next();
    System.out.printf(
        Locale.ROOT,
        "%n%-14s %-9s %9s %9s %9s %8s%n",
        "rows from",
        "prefetch",
        "ms/token",
        "min",
        "max",
        "loss");
    times.forEach((run, all) -> {
      List<Double> losses = new ArrayList<>();
      for (int round = 0; round < all.size(); round++) {
        losses.add(100 * (1 - fixed.get(round) / all.get(round)));
      }
      System.out.printf(
          Locale.ROOT,
          "%-14s %-9s %9.2f %9.2f %9.2f %7.1f%%%n",
          run.name(),
          run.ahead() ? "yes" : "no",
          median(all),
          Collections.min(all),
          Collections.max(all),
          median(losses));
    });
  }

  static double median(List<Double> values) {
    return values.stream().sorted().toList().get(values.size() / 2);
  }

  private static void warm(List<TableFile> files) throws IOException {
    for (TableFile file : files) {
      PackedFile.open(file.weight().file()).verify(2, bytes -> {});
    }
  }

  /** Drops the page cache of the whole machine; returns whether that was allowed. */
  static boolean dropCache() {
    try {
      Files.writeString(Path.of("/proc/sys/vm/drop_caches"), "1\n");
      return true;
    } catch (IOException e) {
      return false;
    }
  }
}
