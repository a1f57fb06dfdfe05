package io.engram4j.rivals;

import io.engram4j.train.TrainOptions;
import io.engram4j.train.Trainer;
import io.engram4j.train.data.Sequences;
import io.engram4j.train.model.Batch;
import io.engram4j.train.model.Decoder;
import io.engram4j.train.model.DecoderShape;
import io.engram4j.train.model.EngramMemory;
import io.engram4j.train.table.TableShape;
import java.util.Arrays;
import java.util.Locale;
import java.util.SplittableRandom;

/**
 * Training beside DJL's PyTorch: the same dense decoder, weights, batches and threads, in turns.
 * {@code ci/bench-train [THREADS [ROUNDS]]}.
 */
public final class TrainRace {
  private static final DecoderShape SHAPE = new DecoderShape(2048, 64, 6, 4, 240, 1, 128);
  private static final int BATCH = 16;
  private static final int STEPS = 5; // of a round

  private TrainRace() {}

  /** Batches of random ids: how fast a step is does not depend on them. */
  private static Sequences data() {
    return new Sequences() {
      @Override
      public Batch batch(long step, int sequences) {
        int tokens = sequences * SHAPE.context();
        SplittableRandom random = new SplittableRandom(step);
        int[] ids = random.ints(tokens, 3, SHAPE.vocabulary()).toArray();
        int[] targets = random.ints(tokens, 3, SHAPE.vocabulary()).toArray();
        int[] start = new int[tokens];
        Arrays.setAll(start, i -> i / SHAPE.context() * SHAPE.context());
        boolean[] live = new boolean[tokens];
        Arrays.fill(live, true);
        return new Batch(sequences, SHAPE.context(), ids, targets, start, live);
      }

      @Override
      public String describe() {
        return "random";
      }
    };
  }

  /** Runs the race, and prints each round and the median of their ratios. */
  public static void main(String[] args) {
    int threads = args.length > 0 ? Integer.parseInt(args[0]) : 1;
    int rounds = args.length > 1 ? Integer.parseInt(args[1]) : 9;
    TrainOptions options = TrainOptions.defaults(10_000).withBatch(BATCH, 8).withThreads(threads);
    Sequences data = data();
    try (Decoder decoder = Decoder.inMemory(SHAPE, EngramMemory.NONE, TableShape.of(1, 1), 1);
        TorchDecoder torch = new TorchDecoder(decoder, options.rate());
        Trainer trainer = new Trainer(decoder, data, options)) {
      double ours = trainer.step().loss();
      double theirs = torch.step(data.batch(0, BATCH));
      if (Math.abs(ours - theirs) > 1e-3) {
        throw new IllegalStateException("losses are " + ours + " and " + theirs);
      }
      double[] ratios = new double[rounds];
      long at = 1;
      for (int round = -2; round < rounds; round++) { // two to warm up
        long began = System.nanoTime();
        for (int i = 0; i < STEPS; i++) {
          trainer.step();
        }
        double own = rate(began);
        began = System.nanoTime();
        for (int i = 0; i < STEPS; i++) {
          torch.step(data.batch(at++, BATCH));
        }
        double other = rate(began);
        if (round >= 0) {
          ratios[round] = own / other;
          System.out.printf(
              Locale.ROOT, "%,.0f and %,.0f tokens/s: %.2f%n", own, other, own / other);
        }
      }
      Arrays.sort(ratios);
      System.out.printf(
          Locale.ROOT,
          "train_vs_pytorch, %d threads: %.2f (%.2f to %.2f)%n",
          threads,
          ratios[rounds / 2],
          ratios[0],
          ratios[rounds - 1]);
    }
  }

  private static double rate(long began) {
    return STEPS * (double) BATCH * SHAPE.context() / ((System.nanoTime() - began) / 1e9);
  }
}
