package io.engram4j.bench;

import io.engram4j.Backends;
import io.engram4j.EngramBatch;
import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.LayerStatistics;
import io.engram4j.kernel.Backend;
import io.engram4j.model.Dtype;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.EngramLayout;
import io.engram4j.model.HiddenStream;
import io.engram4j.model.LayerLayout;
import io.engram4j.model.Stage;
import io.engram4j.model.StageListener;
import io.engram4j.model.TokenMap;
import io.engram4j.remote.Manifest;
import io.engram4j.remote.RemoteOptions;
import io.engram4j.remote.SlicedTables;
import io.engram4j.table.Placement;
import io.engram4j.table.RowType;
import io.engram4j.table.Table;
import io.engram4j.table.TableOptions;
import io.engram4j.table.io.HeldTable;
import io.engram4j.table.io.PackedFile;
import io.engram4j.table.io.TableFile;
import io.engram4j.table.io.TableOpener;
import io.engram4j.weights.GateWeights;
import io.engram4j.weights.LayerWeights;
import io.engram4j.weights.Projection;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.ToDoubleFunction;
import org.jspecify.annotations.Nullable;

/**
 * A decode loop at V4.1's widths: a stack of layers that reads its weights from memory, with two
 * Engram layers in it, token by token, the n-grams new each time. The same loop with rows from a
 * fixed buffer is the measure; the loss against it is what tables cost. Placements take turns, so
 * that a noisy machine is noisy for all.
 *
 * <p>Arguments: {@code decode}, or {@code prefill} for {@link PrefillReads}, or {@code rows} for
 * {@link SameRows}, or {@code remote} for {@link RemoteRace} and this loop with rows of an address
 * that is the last argument; a directory on the disk to be measured, gigabytes of tables (8),
 * rounds (9), tokens a round (20). Cold means that the page cache was dropped before each round,
 * which needs root.
 */
public final class DecodeLoop {
  private static final int HIDDEN = 5120;
  private static final int BRANCHES = 4;
  private static final int VOCABULARY = 99_092;

  private final EngramConfig config;
  private final List<LayerLayout> layouts;
  private final Backend backend = Backends.select();
  private final Projection wkv = DecodeWeights.projection(25_600);
  private final Backend.Project stack =
      backend.project(DecodeWeights.projection(12_288), Arena.global());
  private final MemorySegment stackIn = Arena.global().allocate(4L * 6144, 64);
  private final MemorySegment stackOut = Arena.global().allocate(4L * 12_288, 64);
  private final SplittableRandom random = new SplittableRandom(11);

  private DecodeLoop(double gigabytes) {
    long start = (long) (gigabytes * 1e9 / 2 / 264 / 24);
    this.config =
        EngramConfig.builder()
            .hiddenSize(HIDDEN)
            .branches(BRANCHES)
            .layerIds(List.of(1, 14))
            .ngrams(4, start)
            .heads(8, 256)
            .padTokenId(2)
            .build();
    this.layouts = EngramLayout.of(config, VOCABULARY);
  }

  /** One way to hold the tables, and whether rows are fetched ahead. */
  private record Run(String name, EngramModel model, boolean ahead, boolean cold) {}

  /** Milliseconds a token, and those of them that the loop spent on rows. */
  private record Round(double millis, double rows) {}

  /** Runs it and prints a table. */
  public static void main(String[] args) throws IOException {
    Path directory = Path.of(args[1]);
    double gigabytes = args.length > 2 ? Double.parseDouble(args[2]) : 8;
    int rounds = args.length > 3 ? Integer.parseInt(args[3]) : 9;
    int tokens = args.length > 4 ? Integer.parseInt(args[4]) : 20;
    DecodeLoop loop = new DecodeLoop(gigabytes);
    switch (args[0]) {
      case "decode" -> {
        List<TableFile> files = new ArrayList<>();
        for (LayerLayout layout : loop.layouts) {
          files.add(DecodeWeights.table(directory, layout));
        }
        loop.measure(files, rounds, tokens);
      }
      case "prefill" -> PrefillReads.run(directory, loop.layouts.getFirst(), rounds);
      case "rows" -> SameRows.run(directory, loop.layouts.getFirst());
      case "remote" -> {
        List<TableFile> files = new ArrayList<>();
        for (LayerLayout layout : loop.layouts) {
          files.add(DecodeWeights.table(directory, layout));
        }
        Manifest manifest = RemoteRace.manifest(files, loop.config.layerIds());
        int layer = loop.config.layerIds().getFirst();
        if (args[5].contains("://")) {
          try (SlicedTables tables = RemoteRace.load(args[5], manifest, files)) {
            RemoteRace.run(tables, files.getFirst(), layer, rounds, () -> Duration.ZERO);
            RemoteRace.tokens(tables, loop.config.layerIds(), rounds, () -> Duration.ZERO);
            loop.measureRemote(files, tables, rounds, tokens);
          }
        } else {
          try (SliceProcess server = SliceProcess.start(args[5], directory, manifest, files);
              SlicedTables tables =
                  SlicedTables.connect(server.address(), RemoteOptions.defaults())) {
            RemoteRace.run(tables, files.getFirst(), layer, rounds, server::cpu);
            RemoteRace.tokens(tables, loop.config.layerIds(), rounds, server::cpu);
            loop.measureRemote(files, tables, rounds, tokens);
          }
        }
      }
      default ->
          throw new IllegalArgumentException(args[0] + " is not decode, prefill, rows or remote");
    }
  }

  private EngramModel model(List<TableFile> files, @Nullable Placement placement)
      throws IOException {
    if (placement == null) {
      return model((layer, arena) ->
          Table.streamed(
              "fixed", RowType.F8_E4M3, layouts.get(layer).rows(), 256, (ids, n, to) -> {}));
    }
    TableOptions options = TableOptions.defaults().placement(placement);
    return model((layer, arena) -> {
      HeldTable held = new TableOpener(options).open(files.get(layer), 1, arena);
      System.out.printf(Locale.ROOT, "%s: %s%n", placement, held.description());
      return held.table();
    });
  }

  /** Opens the table of a layer, by its place. */
  private interface Opener {
    Table open(int layer, Arena arena) throws IOException;
  }

  private EngramModel model(Opener opener) throws IOException {
    Arena arena = Arena.ofShared();
    List<LayerWeights> weights = new ArrayList<>();
    float[] ones = new float[HIDDEN * BRANCHES];
    Arrays.fill(ones, 1);
    for (int i = 0; i < layouts.size(); i++) {
      GateWeights gate =
          new GateWeights(BRANCHES, HIDDEN, ones, ones, 1e-20, GateWeights.ZeroRule.COPYSIGN);
      weights.add(new LayerWeights(opener.open(i, arena), wkv, gate, null));
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
    measure(runs, files, rounds, tokens);
  }

  private void measure(List<Run> runs, List<TableFile> files, int rounds, int tokens)
      throws IOException {
    Map<Run, List<Round>> times = new LinkedHashMap<>();
    try (ExecutorService pool = Executors.newFixedThreadPool(2)) {
      for (int round = -1; round < rounds; round++) {
        for (Run run : runs) {
          if (run.cold()) {
            dropCache();
          } else if (run.name().equals("mapped warm")) {
            warm(files);
          }
          Round measured = round(run, pool, tokens);
          if (round >= 0) {
            times.computeIfAbsent(run, r -> new ArrayList<>()).add(measured);
          }
        }
      }
    }
    show(times);
  }

  private void measureRemote(List<TableFile> files, SlicedTables tables, int rounds, int tokens)
      throws IOException {
    TableOptions options = TableOptions.defaults().remote(tables);
    EngramModel remote =
        model((layer, arena) ->
            new TableOpener(options).open(tables.open(config.layerIds().get(layer))).table());
    EngramModel mapped = model(files, Placement.MAPPED);
    List<Run> runs = new ArrayList<>();
    runs.add(new Run("fixed buffer", model(files, null), true, false));
    for (boolean ahead : new boolean[] {true, false}) {
      runs.add(new Run("mapped warm", mapped, ahead, false));
      runs.add(new Run("remote", remote, ahead, false));
    }
    measure(runs, files, rounds, tokens);
  }

  private Round round(Run run, ExecutorService pool, int tokens) {
    EngramSequence sequence = run.model().newSequence();
    MemorySegment stream = Arena.global().allocate(4L * HIDDEN * BRANCHES, 64);
    HiddenStream hidden = HiddenStream.of(stream, Dtype.F32, BRANCHES, HIDDEN);
    int[] token = new int[1];
    sequence.append(new int[] {1, 2, 3});
    EngramBatch batch = run.model().newBatch();
    long[] inRows = {-stalled(run.model())};
    StageListener listener =
        (stage, first, count, data, nanos) ->
            inRows[0] += stage == Stage.HASH || stage == Stage.GATHER ? nanos : 0;
    long start = System.nanoTime();
    for (int i = 0; i < tokens; i++) {
      token[0] = random.nextInt(VOCABULARY);
      sequence.append(token);
      batch.clear().add(sequence, sequence.length() - 1, 1);
      if (run.ahead()) {
        batch.prefetch(pool);
      }
      for (EngramLayer layer : run.model().layers()) {
        stack.run(stackIn, 1, 0, 12_288, stackOut); // the model's other layers
        layer.apply(batch, hidden, listener);
      }
    }
    double all = System.nanoTime() - start;
    inRows[0] += stalled(run.model());
    return new Round(all / 1e6 / tokens, inRows[0] / 1e6 / tokens);
  }

  private static long stalled(EngramModel model) {
    return model.statistics().stream().mapToLong(LayerStatistics::stalledNanos).sum();
  }

  private static double median(List<Round> rounds, ToDoubleFunction<Round> what) {
    return median(rounds.stream().map(what::applyAsDouble).toList());
  }

  /**
   * The loss is what the loop spends on rows (waiting for them, hashing, gathering) beyond what it
   * spends with a fixed buffer, as a share of its time; medians over rounds.
   */
  private static void show(Map<Run, List<Round>> times) {
    List<Round> fixed = times.values().iterator().next();
    System.out.printf(
        Locale.ROOT,
        "%n%-14s %-9s %9s %9s %9s %12s %8s%n",
        "rows from",
        "prefetch",
        "ms/token",
        "min",
        "max",
        "rows us/tok",
        "loss");
    times.forEach((run, all) -> {
      List<Double> losses = new ArrayList<>();
      for (int round = 0; round < all.size(); round++) {
        double more = all.get(round).rows() - fixed.get(round).rows();
        losses.add(100 * more / all.get(round).millis());
      }
      List<Double> millis = all.stream().map(Round::millis).toList();
      System.out.printf(
          Locale.ROOT,
          "%-14s %-9s %9.2f %9.2f %9.2f %12.1f %7.2f%%%n",
          run.name(),
          run.ahead() ? "yes" : "no",
          median(millis),
          Collections.min(millis),
          Collections.max(millis),
          1000 * median(all, Round::rows),
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
