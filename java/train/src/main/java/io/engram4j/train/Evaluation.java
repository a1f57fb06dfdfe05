package io.engram4j.train;

import io.engram4j.train.model.Batch;
import io.engram4j.train.model.Decoder;
import io.engram4j.train.model.Pass;
import java.util.function.IntPredicate;

/**
 * How a model does on tokens it did not train on.
 *
 * @param losses of each token, in nats; 0 where there is no target
 * @param right whether the most probable id was the target
 * @param targets which followed, -1 where none
 */
@SuppressWarnings("ArrayRecordComponent") // views, never compared or hashed
public record Evaluation(double[] losses, boolean[] right, int[] targets) {
  /** Runs a batch of any size, a sequence at a time. */
  public static Evaluation of(Decoder decoder, Batch batch) {
    int tokens = batch.tokens();
    double[] losses = new double[tokens];
    boolean[] right = new boolean[tokens];
    int vocabulary = decoder.shape().vocabulary();
    Pass pass = decoder.newPass(batch.length());
    for (int sequence = 0; sequence < batch.sequences(); sequence++) {
      Batch one = batch.part(sequence, 1);
      pass.forward(one);
      int from = sequence * batch.length();
      System.arraycopy(pass.losses(), 0, losses, from, batch.length());
      for (int i = 0; i < batch.length(); i++) {
        int target = one.targets()[i];
        right[from + i] =
            target >= 0 && isMost(pass.probabilities(), i * vocabulary, vocabulary, target);
      }
    }
    return new Evaluation(losses, right, batch.targets());
  }

  private static boolean isMost(float[] values, int at, int count, int index) {
    for (int i = 0; i < count; i++) {
      if (values[at + i] > values[at + index]) {
        return false;
      }
    }
    return true;
  }

  /** Returns the mean loss over the targets. */
  public double loss() {
    double sum = 0;
    for (double loss : losses) {
      sum += loss;
    }
    return sum / count(i -> true);
  }

  /** Returns how many targets lie at places that fit. */
  public int count(IntPredicate places) {
    int count = 0;
    for (int i = 0; i < targets.length; i++) {
      if (targets[i] >= 0 && places.test(i)) {
        count++;
      }
    }
    return count;
  }

  /** Returns the share of targets that were the most probable id, at places that fit. */
  public double accuracy(IntPredicate places) {
    int hits = 0;
    for (int i = 0; i < targets.length; i++) {
      if (right[i] && places.test(i)) {
        hits++;
      }
    }
    return hits / (double) Math.max(1, count(places));
  }
}
