package io.engram4j.train;

import io.engram4j.train.data.Sequences;
import io.engram4j.train.model.Batch;
import io.engram4j.train.model.Decoder;
import io.engram4j.train.model.Pass;
import io.engram4j.train.ranks.Ranks;
import io.engram4j.train.ranks.Reduction;
import io.engram4j.train.ranks.RowOwners;
import io.engram4j.train.ranks.Workers;
import io.engram4j.train.table.StepGradients;
import io.engram4j.train.table.TrainableTable;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Trains a decoder, step by step. The same options, data and shape give the same bits on any number
 * of threads, and after a checkpoint as without one.
 *
 * <p>A step is cut into groups of sequences. Threads compute groups; their gradients are added up
 * in the order of the groups, and rows' gradients column by column. For one thread at a time; the
 * decoder stays the caller's, and is not to be used during a step.
 *
 * <p>Where the decoder's rows are with several ranks, each computes its share of the groups, and
 * all of them take each step, checkpoint and end together; parameters are the same bits on all.
 */
public final class Trainer implements AutoCloseable {
  private final Decoder decoder;
  private final Sequences data;
  private final TrainOptions options;
  private final AdamW optimizer;
  private final RowOwners owners;
  private final Reduction reduction;
  private final Workers workers;
  private final int firstGroup;
  private final int groups;
  private final List<Memory> memories = new ArrayList<>();
  private final float[] gradients;
  private final List<StepGradients> rows = new ArrayList<>();
  private long step;

  /** One thread's memory. */
  private static final class Memory {
    final Pass pass;
    final float[] gradients;

    Memory(Decoder decoder, int tokens) {
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

  /**
   * Begins at step 0.
   *
   * @throws IllegalArgumentException if ranks have other models, data or options, or a step has
   *     fewer groups than there are ranks
   */
  public Trainer(Decoder decoder, Sequences data, TrainOptions options) {
    this.decoder = decoder;
    this.data = data;
    this.options = options;
    this.optimizer = new AdamW(decoder.parameters(), options);
    this.gradients = new float[decoder.parameters().size()];
    this.owners = decoder.owners();
    int all = options.batch() / options.group();
    int ranks = owners.ranks().size();
    if (ranks > all) {
      throw new IllegalArgumentException(
          "a step of " + all + " groups of sequences cannot be shared by " + ranks + " ranks");
    }
    this.firstGroup = all * owners.ranks().rank() / ranks;
    this.groups = all * (owners.ranks().rank() + 1) / ranks - firstGroup;
    this.reduction = new Reduction(owners.ranks());
    try {
      reduction.requireSame(describe());
    } catch (Throwable e) {
      reduction.close();
      throw e;
    }
    int context = decoder.shape().context();
    for (int i = 0; i < Math.min(options.threads(), groups); i++) {
      memories.add(new Memory(decoder, options.group() * context));
    }
    for (TrainableTable table : decoder.tables()) {
      int columns = decoder.memory().config().columns();
      int tokens = groups * options.group() * context;
      rows.add(new StepGradients(tokens, columns, table.shape().width()));
    }
    this.workers = new Workers(options.threads());
  }

  private String describe() {
    return decoder.shape() + ", " + options.describe() + ", " + data.describe();
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
    return new Checkpoint(directory, decoder, optimizer, describe(), reduction);
  }

  /** Returns the step of a directory's checkpoint, as of which its tables are opened; or -1. */
  public static long lastStep(Path directory) throws IOException {
    return Checkpoint.step(directory);
  }

  /**
   * Returns the step of the last checkpoint of all ranks; or -1. One that a rank has, the others
   * can go on from: each had all of it on disk before any counted it.
   *
   * @param directory of this rank
   */
  public static long lastStep(Path directory, Ranks ranks) throws IOException {
    try (Reduction reduction = new Reduction(ranks)) {
      return reduction.max(lastStep(directory));
    }
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
    Attempt<Batch> read =
        Attempt.of(() -> {
          Batch whole = withoutMemory(data.batch(step, options.batch()));
          decoder.require(whole);
          return whole;
        });
    reduction.requireNone(read.failure());
    Batch batch = read.get();
    Batch own = batch.part(firstGroup * options.group(), groups * options.group());
    int targets = Math.max(1, batch.targetCount());
    rows.forEach(StepGradients::clear);
    Pass.clear(gradients);
    owners.pull(layer -> decoder.rowIds(layer, own), own.live(), own.tokens());
    Attempt<Double> computed = Attempt.of(() -> compute(own, 1f / targets));
    reduction.requireNone(computed.failure());
    double loss = reduction.sum(computed.get())[0] / targets;
    if (!Double.isFinite(loss)) {
      throw new ArithmeticException(
          "the loss of step " + step + " is " + loss + "; parameters and rows are as before it");
    }
    reduction.sum(gradients);
    double norm = Math.sqrt(squares());
    double rowNorm = Math.sqrt(reduction.sum(owners.push(rows, workers))[0]);
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
    float rowRate = rate * options.rowFactor();
    long changed = owners.apply(factor(rowNorm, options.rowClip()), rowRate, step, workers);
    return new Result(step++, loss, norm, rowNorm, (long) reduction.sum((double) changed)[0]);
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

  /** Computes all groups of this rank; adds their gradients up in their order. */
  private double compute(Batch batch, float scale) {
    AtomicInteger next = new AtomicInteger();
    Turns turns = new Turns();
    double[] losses = new double[groups];
    List<Callable<Void>> tasks = new ArrayList<>();
    for (Memory memory : memories) {
      tasks.add(() -> {
        for (int group = next.getAndIncrement(); group < groups; group = next.getAndIncrement()) {
          try {
            Batch part = batch.part(group * options.group(), options.group());
            Pass.clear(memory.gradients);
            losses[group] = memory.pass.forward(part);
            int first = group * options.group() * batch.length();
            memory.pass.backward(part, scale, memory.gradients, rows, first);
          } finally {
            turns.await(group);
            add(memory.gradients);
            turns.done();
          }
        }
        return null;
      });
    }
    workers.run(tasks);
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

  @Override
  public void close() {
    workers.close();
    reduction.close();
  }
}
