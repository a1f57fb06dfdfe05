package io.engram4j.tck;

import io.engram4j.Backends;
import io.engram4j.EngramBatch;
import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.SequenceSnapshot;
import io.engram4j.hf.DirectoryPacker;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.kernel.Backend;
import io.engram4j.model.Dtype;
import io.engram4j.table.Placement;
import io.engram4j.table.TableOptions;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

/**
 * What {@link FaultRun} lets fail: to pack a small model, open it, serve, go back, save and close.
 * Each step that failed is taken once more with the same objects, and must then succeed with the
 * right result: a failure leaves nothing half done.
 */
final class FaultTrial implements Faults.Trial {
  /** The way of packed files; the others are names of placements. */
  static final String PACKED = "PACKED";

  private static final int PROMPT = 24;
  private static final int MORE = 8;

  private final Path source;
  private final Path work;
  private final String backend;
  private final String way;
  private final SoakTruth truth;

  /** Made by reflection, in the loader whose classes fail. */
  FaultTrial(Path source, Path work, String backend, String way) throws IOException {
    this.source = source;
    this.work = work;
    this.backend = backend;
    this.way = way;
    this.truth = SoakTruth.of(source);
  }

  /** Takes a step, and once more if it failed for the fault. */
  private static <T> T step(String name, Callable<T> work) throws Exception {
    try {
      return work.call();
    } catch (OutOfMemoryError | IOException | UncheckedIOException e) {
      requireFault(name, e);
      return work.call();
    }
  }

  private static void requireFault(String name, Throwable e) {
    if (Faults.failed().isEmpty()) {
      throw new AssertionError(name + " failed by itself", e);
    }
  }

  @Override
  public void run() throws Exception {
    Path directory = source;
    if (way.equals(PACKED)) {
      directory = work.resolve("packed");
      Path target = directory;
      step(
          "pack",
          () -> new DirectoryPacker(EngramDirectory.read(source), target, 2, b -> {}).pack());
      step(
          "verify",
          () -> {
            DirectoryPacker.verify(EngramDirectory.read(target), 2, b -> {});
            return 0;
          });
    }
    Path opened = directory;
    ExecutorService threads = Executors.newFixedThreadPool(2);
    try {
      EngramModel model = step("open", () -> open(opened));
      try {
        serve(model, threads);
      } finally {
        close("close", model);
      }
    } finally {
      threads.shutdown();
      threads.awaitTermination(10, TimeUnit.SECONDS);
    }
  }

  private static void close(String name, AutoCloseable closed) throws Exception {
    step(
        name,
        () -> {
          closed.close();
          return 0;
        });
  }

  private EngramModel open(Path directory) throws IOException {
    Backend chosen = Backends.named(backend);
    TableOptions options =
        TableOptions.defaults()
            .placement(way.equals(PACKED) ? Placement.MAPPED : Placement.valueOf(way))
            .sharedDirectory(work)
            .threads(2);
    if (way.equals("STREAMED")) {
      options = options.cacheBytes(100_000);
    }
    return EngramDirectory.read(directory).open(chosen, options);
  }

  private void serve(EngramModel model, ExecutorService threads) throws Exception {
    EngramSequence sequence = step("sequence", model::newSequence);
    append(sequence, PROMPT);
    apply(model, sequence, PROMPT);
    EngramModel view = step("view", () -> model.withExecutor(threads, 2));
    try {
      if (model.config().convKernel() == 0) { // which cannot run the same tokens again and again
        batch(view, sequence, threads);
      }
    } finally {
      close("close the view", view);
    }
    step(
        "prefetch",
        () -> {
          sequence.prefetch(4, threads);
          return 0;
        });
    EngramSequence fork = step("fork", sequence::fork);
    append(fork, MORE);
    apply(model, fork, MORE);
    fork.truncate(PROMPT - 2);
    append(fork, MORE);
    apply(model, fork, MORE);
    byte[] saved = step("save", () -> sequence.snapshot().toBytes());
    EngramSequence restored =
        step("restore", () -> model.restore(SequenceSnapshot.fromBytes(saved)));
    append(restored, MORE);
    apply(model, restored, MORE);
  }

  private void append(EngramSequence sequence, int count) throws Exception {
    int before = sequence.length();
    step(
        "append",
        () -> {
          if (sequence.length() != before) {
            throw new AssertionError("an append that failed left " + sequence.length() + " tokens");
          }
          truth.append(sequence, count);
          return 0;
        });
  }

  private void apply(EngramModel model, EngramSequence sequence, int count) throws Exception {
    int position = sequence.length() - count;
    for (int layer = 0; layer < model.layers().size(); layer++) {
      float[] stream = new float[count * model.config().streamWidth()];
      EngramLayer at = model.layers().get(layer);
      step(
          "apply",
          () -> {
            Arrays.fill(stream, SoakTruth.START);
            at.apply(sequence, count, stream);
            return 0;
          });
      truth.checkStream(layer, position, stream);
    }
  }

  /** Several sequences' tokens at once, off the heap, fetched ahead. */
  private void batch(EngramModel model, EngramSequence sequence, ExecutorService threads)
      throws Exception {
    EngramBatch batch = step("batch", model::newBatch);
    try {
      for (int round = 0; round < 2; round++) {
        step(
            "fill",
            () -> {
              batch.clear();
              batch.add(sequence, 0, 10);
              batch.add(sequence, 10, PROMPT - 10);
              return 0;
            });
        step("prefetch", () -> batch.prefetch(threads));
        List<long[]> ids = new ArrayList<>();
        for (int layer = 0; layer < model.layers().size(); layer++) {
          EngramLayer at = model.layers().get(layer);
          long[] rowIds = new long[PROMPT * model.config().columns()];
          step(
              "hash",
              () -> {
                at.hash(batch, MemorySegment.ofArray(rowIds));
                return 0;
              });
          truth.checkIds(layer, 0, rowIds);
          ids.add(rowIds);
          float[] stream = new float[PROMPT * model.config().streamWidth()];
          step(
              "apply",
              () -> {
                Arrays.fill(stream, SoakTruth.START);
                at.apply(batch, stream);
                return 0;
              });
          truth.checkStream(layer, 0, stream);
        }
        for (int layer = 0; layer < ids.size(); layer++) {
          long[] rowIds = ids.get(layer);
          EngramLayer at = model.layers().get(layer);
          float[] rows = new float[PROMPT * model.config().rowWidth()];
          step(
              "gather",
              () -> {
                at.gather(
                    MemorySegment.ofArray(rowIds),
                    rowIds.length,
                    MemorySegment.ofArray(rows),
                    Dtype.F32);
                return 0;
              });
          truth.checkRows(layer, 0, rows);
        }
      }
    } finally {
      close("close the batch", batch);
    }
  }
}
