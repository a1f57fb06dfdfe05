package io.engram4j.train;

import io.engram4j.train.data.Sequences;
import io.engram4j.train.model.Batch;
import io.engram4j.train.model.Decoder;
import io.engram4j.train.model.Pass;
import io.engram4j.train.table.StepGradients;
import io.engram4j.train.table.TrainableTable;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Trains a decoder, step by step. The same options, data and shape give the same bits on any number
 * of threads, and after a checkpoint as without one.
 *
 * <p>A step is cut into groups of sequences. Threads compute groups; their gradients are added up
 * in the order of the groups, and rows' gradients column by column. For one thread at a time; the
 * decoder stays the caller's, and is not to be used during a step.
 */
public final class Trainer implements AutoCloseable {
  private final Decoder decoder;
  private final Sequences data;
  private final TrainOptions options;
  private final AdamW optimizer;
  private final ExecutorService executor;
  private final List<Worker> workers = new ArrayList<>();
  private final float[] gradients;
  private final List<StepGradients> rows = new ArrayList<>();
  private long step;

  /** One thread's memory. */
  private static final class Worker {
    final Pass pass;
    final float[] gradients;

    Worker(Decoder decoder, int tokens) {
      this.pass = decoder.newPass(tokens);
      this.gradients = new float[decoder.parameters().size()];
    }
  }

  /**
   * What a step did.
   *
   * @param step its number, from 0
   * @param loss mean over the targets, in nats
   * @param norm of the dense gradient, before clipping
   * @param rowNorm of the rows' gradient, likewise
   * @param rows how many different rows it changed
   */
  public record Result(long step, double loss, double norm, double rowNorm, long rows) {}

  /** Begins at step 0. */
  public Trainer(Decoder decoder, Sequences data, TrainOptions options) {
    this.decoder = decoder;
    this.data = data;
    this.options = options;
    this.optimizer = new AdamW(decoder.parameters(), options);
    this.gradients = new float[decoder.parameters().size()];
    int tokens = options.group() * decoder.shape().context();
    for (int i = 0; i < options.threads(); i++) {
      workers.add(new Worker(decoder, tokens));
    }
    for (TrainableTable table : decoder.tables()) {
      rows.add(
          new StepGradients(
              options.batch() * decoder.shape().context(),
              decoder.memory().config().columns(),
              table.shape().width()));
    }
    this.executor =
        Executors.newFixedThreadPool(
            options.threads(), Thread.ofPlatform().daemon().name("engram-train-", 0).factory());
  }

  /**
   * Goes on where a checkpoint ends.
   *
   * @throws IOException if it cannot be read, or is of another model, other data or other options
   */
  public static Trainer resume(
      Path directory, Decoder decoder, Sequences data, TrainOptions options) throws IOException {
    Trainer trainer = new Trainer(decoder, data, options);
    try {
      trainer.step = trainer.checkpoints(directory).load();
      return trainer;
    } catch (Throwable e) {
      trainer.close();
      throw e;
    }
  }

  private Checkpoint checkpoints(Path directory) {
    return new Checkpoint(
        directory, decoder, optimizer, options.describe() + ", " + data.describe());
  }

  /** Returns the step of a directory's checkpoint, as of which its tables are opened; or -1. */
  public static long lastStep(Path directory) throws IOException {
    return Checkpoint.step(directory);
  }

  /**
   * Writes a checkpoint into a directory in which the tables have their files. A process that dies
   * at any moment leaves this one or the one before.
   *
   * @throws IOException if it cannot be written, such as when the disk is full; the one before
   *     stays
   */
  public void checkpoint(Path directory) throws IOException {
    checkpoints(directory).save(step);
  }

  /** Returns how many steps are done. */
  public long stepsDone() {
    return step;
  }

  /**
   * Does a step.
   *
   * @throws ArithmeticException if the loss is not a number; nothing has changed then
   */
  public Result step() {
    Batch batch = withoutMemory(data.batch(step, options.batch()));
    int targets = Math.max(1, batch.targetCount());
    rows.forEach(StepGradients::clear);
    Pass.clear(gradients);
    double loss = groups(batch, 1f / targets) / targets;
    if (!Double.isFinite(loss)) {
      throw new ArithmeticException(
          "the loss of step " + step + " is " + loss + "; parameters and rows are as before it");
    }
    each(columns(), column -> column.rows().addUp(column.column()));
    double norm = Math.sqrt(squares());
    double rowNorm = Math.sqrt(rowSquares());
    if (!Double.isFinite(norm) || !Double.isFinite(rowNorm)) {
      throw new ArithmeticException(
          "the gradient of step "
              + step
              + " has norm "
              + norm
              + ", that of rows "
              + rowNorm
              + "; parameters and rows are as before it");
    }
    float rate = options.rateAt(step);
    optimizer.step(gradients, factor(norm, options.clip()), rate, step);
    float rowFactor = factor(rowNorm, options.rowClip());
    long number = step;
    each(
        columns(),
        column ->
            column
                .rows()
                .apply(
                    column.column(),
                    column.table(),
                    rowFactor,
                    rate * options.rowFactor(),
                    number));
    long touched = columns().stream().mapToLong(c -> c.rows().touched(c.column())).sum();
    return new Result(step++, loss, norm, rowNorm, touched);
  }

  static float factor(double norm, float most) {
    return norm > most ? (float) (most / norm) : 1;
  }

  private double squares() {
    double sum = 0;
    for (float gradient : gradients) {
      sum += (double) gradient * gradient;
    }
    return sum;
  }

  private double rowSquares() {
    double sum = 0;
    for (Column column : columns()) {
      sum += column.rows().squares(column.column());
    }
    return sum;
  }

  private record Column(StepGradients rows, TrainableTable table, int column) {}

  private List<Column> columns() {
    List<Column> columns = new ArrayList<>();
    for (int layer = 0; layer < rows.size(); layer++) {
      for (int column = 0; column < rows.get(layer).columns(); column++) {
        columns.add(new Column(rows.get(layer), decoder.tables().get(layer), column));
      }
    }
    return columns;
  }

  private Batch withoutMemory(Batch batch) {
    boolean[] live = batch.live().clone();
    for (int sequence = 0; sequence < batch.sequences(); sequence++) {
      if (draw(sequence) < options.withoutMemory()) {
        int from = sequence * batch.length();
        java.util.Arrays.fill(live, from, from + batch.length(), false);
      }
    }
    return new Batch(
        batch.sequences(), batch.length(), batch.ids(), batch.targets(), batch.start(), live);
  }

  /** A number from 0 to 1 for a sequence of this step. */
  private double draw(int sequence) {
    long x = options.seed() * 31 + step * options.batch() + sequence;
    return new java.util.SplittableRandom(x).nextDouble();
  }

  /** Computes all groups; adds their gradients up in their order. */
  private double groups(Batch batch, float scale) {
    int groups = options.batch() / options.group();
    AtomicInteger next = new AtomicInteger();
    Turns turns = new Turns();
    double[] losses = new double[groups];
    List<Callable<Void>> tasks = new ArrayList<>();
    for (Worker worker : workers) {
      tasks.add(() -> {
        for (int group = next.getAndIncrement(); group < groups; group = next.getAndIncrement()) {
          try {
            Batch part = batch.part(group * options.group(), options.group());
            Pass.clear(worker.gradients);
            losses[group] = worker.pass.forward(part);
            int first = group * options.group() * batch.length();
            worker.pass.backward(part, scale, worker.gradients, rows, first);
          } finally {
            turns.await(group);
            add(worker.gradients);
            turns.done();
          }
        }
        return null;
      });
    }
    run(tasks);
    double sum = 0;
    for (double loss : losses) {
      sum += loss;
    }
    return sum;
  }

  private void add(float[] some) {
    for (int i = 0; i < some.length; i++) {
      gradients[i] += some[i];
    }
  }

  /** Lets groups pass in their order. */
  private static final class Turns {
    private int next;

    synchronized void await(int group) throws InterruptedException {
      while (next != group) {
        wait();
      }
    }

    synchronized void done() {
      next++;
      notifyAll();
    }
  }

  private void each(List<Column> columns, java.util.function.Consumer<Column> work) {
    AtomicInteger next = new AtomicInteger();
    List<Callable<Void>> tasks = new ArrayList<>();
    for (int i = 0; i < Math.min(options.threads(), columns.size()); i++) {
      tasks.add(() -> {
        for (int at = next.getAndIncrement(); at < columns.size(); at = next.getAndIncrement()) {
          work.accept(columns.get(at));
        }
        return null;
      });
    }
    run(tasks);
  }

  private void run(List<Callable<Void>> tasks) {
    try {
      for (Future<Void> done : executor.invokeAll(tasks)) {
        done.get();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted in step " + step, e);
    } catch (ExecutionException e) {
      if (e.getCause() instanceof RuntimeException cause) {
        throw cause;
      }
      if (e.getCause() instanceof Error cause) {
        throw cause;
      }
      throw new IllegalStateException("step " + step, e.getCause());
    }
  }

  @Override
  public void close() {
    executor.shutdownNow();
  }
}
