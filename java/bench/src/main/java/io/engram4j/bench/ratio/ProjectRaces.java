package io.engram4j.bench.ratio;

import static io.engram4j.bench.ratio.Shapes.INPUTS;
import static io.engram4j.bench.ratio.Shapes.OUTPUTS;

import io.engram4j.format.E4m3;
import io.engram4j.kernel.Backend;
import io.engram4j.weights.Linear;
import io.engram4j.weights.Projection;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.BiConsumer;

/** The projection against reading its weights once, and against the rivals' in float32. */
final class ProjectRaces {
  private static final int MOST_TOKENS = 64;

  private final Report report;
  private final int rounds;
  private final Map<String, Backend> backends;
  private final String best;
  private final Projection projection = Shapes.projection();
  private final MemorySegment in = Shapes.decodedRows((long) MOST_TOKENS * INPUTS);
  private final MemorySegment out = Shapes.allocate(4L * MOST_TOKENS * OUTPUTS);

  ProjectRaces(Report report, int rounds, Map<String, Backend> backends, String best) {
    this.report = report;
    this.rounds = rounds;
    this.backends = backends;
    this.best = best;
  }

  /** One token, on one thread and on two. */
  void againstReading() {
    MemorySegment weight = projection.parts().getFirst().weight();
    Race.Times one =
        race(
            race -> race.add("reading the weights", 1, () -> Limits.read(weight)),
            (kernel, race) -> kernel.run(in, 1, 0, OUTPUTS, out));
    report.times("project, 1 token, 1 thread", "token", one);
    report.atLeast(
        "gemv_vs_stream_1t",
        "fp8 GEMV / reading its weights, 1 thread",
        one.faster(best, "reading the weights"),
        0.6,
        0.85);
    try (ExecutorService pool = Executors.newFixedThreadPool(1)) {
      long half = weight.byteSize() / 2;
      MemorySegment first = weight.asSlice(0, half);
      MemorySegment second = weight.asSlice(half);
      Race.Times two =
          race(
              race ->
                  race.add(
                      "reading the weights",
                      1,
                      () -> both(pool, () -> Limits.read(first), () -> Limits.read(second))),
              (kernel, race) ->
                  both(
                      pool,
                      () -> kernel.run(in, 1, 0, OUTPUTS / 2, out),
                      () -> kernel.run(in, 1, OUTPUTS / 2, OUTPUTS / 2, out)));
      report.times("project, 1 token, 2 threads", "token", two);
      report.atLeast(
          "gemv_vs_stream_2t",
          "fp8 GEMV / reading its weights, 2 threads",
          two.faster(best, "reading the weights"),
          0.8,
          0.95);
    }
  }

  private Race.Times race(
      java.util.function.Consumer<Race> limit, BiConsumer<Backend.Project, Race> body) {
    Race race = new Race(rounds);
    limit.accept(race);
    backends.forEach((name, backend) -> {
      if (!name.equals("java")) {
        Backend.Project kernel = backend.project(projection, Arena.global());
        race.add(name, 1, () -> body.accept(kernel, race));
      }
    });
    return race.run();
  }

  private static void both(ExecutorService pool, Runnable one, Runnable other) {
    Future<?> done = pool.submit(other);
    one.run();
    try {
      done.get();
    } catch (InterruptedException | java.util.concurrent.ExecutionException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Against those who multiply in float32, batch 1 to 64, one thread. */
  void againstRivals(List<Rival> rivals) {
    MemorySegment wide = widen();
    MemorySegment theirs = Shapes.allocate(4L * MOST_TOKENS * OUTPUTS);
    // batch, floor and goal against OpenBLAS, and against the best of all
    double[][] wanted = {
      {1, 2, 3, 4, 5}, {8, 2, 3, 2, 5}, {32, 1.1, 1.5, 1.3, 2}, {64, 1.1, 1.5, 1.3, 2}
    };
    for (double[] row : wanted) {
      int tokens = (int) row[0];
      Race race = new Race(tokens == 1 ? rounds : Math.min(rounds, 9));
      Objects.requireNonNull(backends.get(best))
          .project(projection, Arena.global())
          .run(in, tokens, 0, OUTPUTS, out); // for comparing
      for (String name : List.of("avx2", "avx512", "avx512_bf16", "amx_bf16")) {
        Backend backend = backends.get(name);
        if (backend != null) {
          Backend.Project kernel = backend.project(projection, Arena.global());
          race.add(name, tokens, () -> kernel.run(in, tokens, 0, OUTPUTS, out));
        }
      }
      for (Rival rival : rivals) {
        Rival.Project project = new Rival.Project(tokens, OUTPUTS, INPUTS, wide, in, theirs);
        Optional<Runnable> run = rival.project(project);
        run.ifPresent(body -> {
          body.run();
          requireAlike(theirs, tokens, 1e-5);
          race.add(rival.name(), tokens, body);
        });
        rival
            .narrowProject(project)
            .ifPresent(body -> {
              body.run();
              requireAlike(theirs, tokens, 2e-2);
              race.add(narrow(rival), tokens, body);
            });
      }
      Race.Times times = race.run();
      report.times("project, " + tokens + " tokens, 1 thread", "token", times);
      against(rivals, times, row);
      if (tokens >= 32 && times.nanos().containsKey("amx_bf16")) {
        report.atLeast(
            "amx_vs_bf16_" + tokens,
            "AMX / AVX-512 BF16, batch " + tokens,
            times.faster("amx_bf16", "avx512_bf16"),
            tokens == 32 ? 5 : 7,
            tokens == 32 ? 10 : 15);
      }
    }
    Limits.free(wide);
    Limits.free(theirs);
  }

  private static String narrow(Rival rival) {
    return rival.name() + ", " + rival.narrowType();
  }

  private void against(List<Rival> rivals, Race.Times times, double[] row) {
    int tokens = (int) row[0];
    String strongest = null;
    for (Rival rival : rivals) {
      String name = rival.name();
      if (times.nanos().containsKey(narrow(rival))) {
        report.atLeast(
            "project_vs_" + rival.narrowType() + "_" + tokens,
            "projection / " + narrow(rival) + ", batch " + tokens,
            times.faster(best, narrow(rival)),
            1,
            1);
      }
      if (!times.nanos().containsKey(name)) {
        continue;
      }
      if (strongest == null || times.median(name) < times.median(strongest)) {
        strongest = name;
      }
      boolean blas = name.startsWith("OpenBLAS");
      report.atLeast(
          "project_vs_" + (blas ? "openblas_" : "onnx_") + tokens,
          "projection / " + name + ", float32, batch " + tokens,
          times.faster(best, name),
          blas ? row[1] : 1,
          blas ? row[2] : 1);
    }
    if (strongest != null) {
      boolean tiles = best.equals("amx_bf16") && tokens == 64;
      report.atLeast(
          "project_vs_best_" + tokens,
          "projection / best rival in float32, batch " + tokens,
          times.faster(best, strongest),
          tiles ? 4 : row[3],
          tiles ? 8 : row[4]);
    }
  }

  /** A race between two that compute different things would be worth nothing. */
  private void requireAlike(MemorySegment theirs, int tokens, double bound) {
    double difference = 0;
    double size = 0;
    for (long i = 0; i < (long) tokens * OUTPUTS; i++) {
      double ours = out.getAtIndex(ValueLayout.JAVA_FLOAT, i);
      difference += Math.pow(theirs.getAtIndex(ValueLayout.JAVA_FLOAT, i) - ours, 2);
      size += ours * ours;
    }
    if (!(Math.sqrt(difference / size) < bound)) {
      throw new IllegalStateException("the rival's projection is another: " + difference / size);
    }
  }

  private MemorySegment widen() {
    Linear linear = projection.parts().getFirst();
    MemorySegment wide = Shapes.allocate(4L * OUTPUTS * INPUTS);
    for (long i = 0; i < (long) OUTPUTS * INPUTS; i++) {
      float code = E4m3.toFloat(linear.weight().get(ValueLayout.JAVA_BYTE, i));
      wide.setAtIndex(ValueLayout.JAVA_FLOAT, i, code * 0x1p-14f); // the scale of all tiles
    }
    return wide;
  }
}
