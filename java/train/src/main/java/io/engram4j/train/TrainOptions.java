package io.engram4j.train;

/**
 * How a model is trained. Immutable; {@link #defaults} and the {@code with} methods make one.
 *
 * @param steps of the whole schedule: a warm-up, then a cosine down to a tenth
 * @param batch sequences a step
 * @param group sequences that one thread computes at once; the sums of a step do not depend on how
 *     many threads there are, but they do on this
 * @param rate largest learning rate of dense parameters
 * @param rowFactor by which that of rows is larger
 * @param warmup steps in which the rate rises
 * @param decay weight decay of matrices; norms and rows have none
 * @param first decay of Adam's first moment
 * @param second decay of its second
 * @param clip largest norm of the dense gradient
 * @param rowClip largest norm of the rows' gradient, apart from the dense one's
 * @param withoutMemory share of sequences that train with the memory left out, so that the model
 *     can do without; it costs a little of the loss
 * @param seed of what is drawn while training
 * @param threads that compute
 */
public record TrainOptions(
    int steps,
    int batch,
    int group,
    float rate,
    float rowFactor,
    int warmup,
    float decay,
    float first,
    float second,
    float clip,
    float rowClip,
    float withoutMemory,
    long seed,
    int threads) {
  public TrainOptions {
    if (steps < 1 || batch < 1 || group < 1 || batch % group != 0 || warmup < 0 || threads < 1) {
      throw new IllegalArgumentException(
          steps
              + " steps of "
              + batch
              + " sequences in groups of "
              + group
              + ", "
              + warmup
              + " of warm-up, on "
              + threads
              + " threads");
    }
    if (!(rate > 0)
        || !(rowFactor >= 0)
        || !(clip > 0)
        || !(rowClip > 0)
        || !(withoutMemory >= 0 && withoutMemory <= 1)) {
      throw new IllegalArgumentException(
          "rate "
              + rate
              + ", of rows "
              + rowFactor
              + " times that, clipped at "
              + clip
              + " and "
              + rowClip
              + ", without memory "
              + withoutMemory);
    }
  }

  /**
   * Returns what worked for small models, on all processors. Rows learn at 50 times the rate: a
   * 64-wide model of 200 steps on Moby-Dick, one seed, reached a loss of 5.18, 5.06, 4.93 and 4.95
   * at 10, 20, 50 and 100 times, and 5.40 without memory.
   */
  public static TrainOptions defaults(int steps) {
    return new TrainOptions(
        steps,
        16,
        2,
        1e-2f,
        50,
        50,
        0.1f,
        0.9f,
        0.95f,
        1,
        1,
        0,
        0,
        Math.min(8, Runtime.getRuntime().availableProcessors()));
  }

  /** Returns the same with other numbers of sequences, of a step and of a group. */
  public TrainOptions withBatch(int sequences, int perGroup) {
    Copy copy = new Copy(this);
    copy.batch = sequences;
    copy.group = perGroup;
    return copy.options();
  }

  /** Returns the same with other learning rates. */
  public TrainOptions withRate(float dense, float factorOfRows) {
    Copy copy = new Copy(this);
    copy.rate = dense;
    copy.rowFactor = factorOfRows;
    return copy.options();
  }

  /** Returns the same with the memory left out of a share of the sequences. */
  public TrainOptions withoutMemory(float share) {
    Copy copy = new Copy(this);
    copy.withoutMemory = share;
    return copy.options();
  }

  /** Returns the same with another seed. */
  public TrainOptions withSeed(long value) {
    Copy copy = new Copy(this);
    copy.seed = value;
    return copy.options();
  }

  /** Returns the same on so many threads. */
  public TrainOptions withThreads(int count) {
    Copy copy = new Copy(this);
    copy.threads = count;
    return copy.options();
  }

  /** What can be changed one by one. */
  private static final class Copy {
    private final TrainOptions of;
    private int batch;
    private int group;
    private float rate;
    private float rowFactor;
    private float withoutMemory;
    private long seed;
    private int threads;

    Copy(TrainOptions of) {
      this.of = of;
      this.batch = of.batch;
      this.group = of.group;
      this.rate = of.rate;
      this.rowFactor = of.rowFactor;
      this.withoutMemory = of.withoutMemory;
      this.seed = of.seed;
      this.threads = of.threads;
    }

    TrainOptions options() {
      return new TrainOptions(
          of.steps,
          batch,
          group,
          rate,
          rowFactor,
          of.warmup,
          of.decay,
          of.first,
          of.second,
          of.clip,
          of.rowClip,
          withoutMemory,
          seed,
          threads);
    }
  }

  /** Returns the learning rate of dense parameters in a step, from 0. */
  public float rateAt(long step) {
    if (step < warmup) {
      return rate * (step + 1) / warmup;
    }
    double done = Math.min(1, (step - warmup) / (double) Math.max(1, steps - warmup));
    return (float) (rate * (0.1 + 0.45 * (1 + StrictMath.cos(Math.PI * done))));
  }

  /** Returns what a checkpoint must have been trained with; threads change nothing. */
  String describe() {
    return withThreads(1).toString();
  }
}
