package io.engram4j.train.analysis;

import io.engram4j.train.corpus.Probes;
import io.engram4j.train.model.Batch;
import io.engram4j.train.model.Decoder;
import io.engram4j.train.model.Pass;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * How far what each layer would answer is from what the model answers: the head on the streams
 * behind each layer, and KL(last || layer), in nats, mean over held-out targets.
 */
public final class LogitLens {
  private static final int SEQUENCES = 40;

  private LogitLens() {}

  /** Returns the divergence behind each layer but the last. */
  public static List<Double> of(Decoder decoder, Probes probes, boolean memory) {
    Batch batch = probes.batch(memory);
    Pass pass = decoder.newPass(batch.length());
    double[] sums = new double[decoder.shape().layers()];
    int count = 0;
    for (int sequence = 0; sequence < Math.min(SEQUENCES, batch.sequences()); sequence++) {
      Batch one = batch.part(sequence, 1);
      float[] last = pass.logits(one).clone();
      count += one.targetCount();
      pass.logits(
          one,
          (layer, streams) -> {
            if (layer < sums.length - 1) {
              sums[layer] += divergence(one, last, pass.head(streams, one.tokens()));
            }
          });
    }
    List<Double> means = new ArrayList<>();
    for (double sum : Arrays.copyOf(sums, sums.length - 1)) {
      means.add(sum / Math.max(1, count));
    }
    return means;
  }

  private static double divergence(Batch batch, float[] last, float[] layer) {
    int size = last.length / batch.tokens();
    double sum = 0;
    for (int token = 0; token < batch.tokens(); token++) {
      if (batch.targets()[token] >= 0) {
        sum += divergence(last, layer, token * size, size);
      }
    }
    return sum;
  }

  private static double divergence(float[] p, float[] q, int at, int count) {
    double logP = logSum(p, at, count);
    double logQ = logSum(q, at, count);
    double sum = 0;
    for (int i = at; i < at + count; i++) {
      double log = p[i] - logP;
      sum += Math.exp(log) * (log - (q[i] - logQ));
    }
    return sum;
  }

  private static double logSum(float[] logits, int at, int count) {
    double most = Double.NEGATIVE_INFINITY;
    for (int i = at; i < at + count; i++) {
      most = Math.max(most, logits[i]);
    }
    double sum = 0;
    for (int i = at; i < at + count; i++) {
      sum += Math.exp(logits[i] - most);
    }
    return most + Math.log(sum);
  }
}
