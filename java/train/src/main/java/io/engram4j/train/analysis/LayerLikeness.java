package io.engram4j.train.analysis;

import io.engram4j.train.corpus.Probes;
import io.engram4j.train.model.Batch;
import io.engram4j.train.model.Decoder;
import io.engram4j.train.model.Pass;
import java.util.ArrayList;
import java.util.List;

/**
 * Linear CKA between the layers of two models, at the targets that are names: with the unbiased
 * estimator of HSIC (Song and others, 2012), over four parts of the tokens, of which the mean and
 * the standard error are told.
 *
 * @param tokens of each part
 * @param mean [layers of the first][layers of the second]
 * @param error likewise
 * @param soft for each layer of the first, the layer of the second that it is like: mean of the two
 *     likest, weighted; counted from 1
 */
public record LayerLikeness(
    int tokens, List<List<Double>> mean, List<List<Double>> error, List<Double> soft) {
  private static final int PARTS = 4;
  private static final int MOST = 512; // tokens of a part
  private static final int LEAST = 8; // likewise; the estimator divides by three fewer

  /** Returns whether there are enough names to compare by. */
  public static boolean isPossible(Probes probes) {
    return places(probes).size() >= PARTS * LEAST;
  }

  private static List<Integer> places(Probes probes) {
    List<Integer> places = new ArrayList<>();
    for (int i = 0; i < probes.ids().length && places.size() < PARTS * MOST; i++) {
      if (probes.names()[i] && probes.targets()[i] >= 0) {
        places.add(i);
      }
    }
    return places;
  }

  /**
   * Compares two models of one tokenizer.
   *
   * @throws IllegalArgumentException if there are too few names
   */
  public static LayerLikeness of(Decoder first, Decoder second, Probes probes) {
    List<Integer> places = places(probes);
    int tokens = places.size() / PARTS;
    if (tokens < LEAST) {
      throw new IllegalArgumentException(places.size() + " names are too few to compare layers");
    }
    float[][][] a = states(first, probes, places);
    float[][][] b = states(second, probes, places);
    List<List<Double>> means = new ArrayList<>();
    List<List<Double>> errors = new ArrayList<>();
    double[][][] grams = new double[PARTS * b.length][][];
    for (int part = 0; part < PARTS; part++) {
      for (int j = 0; j < b.length; j++) {
        grams[part * b.length + j] = gram(b[j], part * tokens, tokens);
      }
    }
    for (float[][] layer : a) {
      double[][] values = new double[b.length][PARTS];
      for (int part = 0; part < PARTS; part++) {
        double[][] own = gram(layer, part * tokens, tokens);
        double norm = Math.sqrt(Math.max(0, hsic(own, own)));
        for (int j = 0; j < b.length; j++) {
          double[][] other = grams[part * b.length + j];
          double otherNorm = Math.sqrt(Math.max(0, hsic(other, other)));
          values[j][part] = hsic(own, other) / Math.max(1e-12, norm * otherNorm);
        }
      }
      means.add(java.util.Arrays.stream(values).map(LayerLikeness::mean).toList());
      errors.add(java.util.Arrays.stream(values).map(LayerLikeness::error).toList());
    }
    return new LayerLikeness(
        tokens, means, errors, means.stream().map(LayerLikeness::soft).toList());
  }

  private static double mean(double[] values) {
    return java.util.Arrays.stream(values).average().orElse(0);
  }

  private static double error(double[] values) {
    double mean = mean(values);
    double sum = 0;
    for (double value : values) {
      sum += (value - mean) * (value - mean);
    }
    return Math.sqrt(sum / (values.length - 1) / values.length);
  }

  /** The mean place of the two likest, by their likeness. */
  private static double soft(List<Double> row) {
    int best = -1;
    int next = -1;
    for (int i = 0; i < row.size(); i++) {
      if (best < 0 || row.get(i) > row.get(best)) {
        next = best;
        best = i;
      } else if (next < 0 || row.get(i) > row.get(next)) {
        next = i;
      }
    }
    if (next < 0) {
      return best + 1.0;
    }
    double a = Math.max(0, row.get(best));
    double b = Math.max(0, row.get(next));
    return a + b == 0 ? best + 1.0 : (a * (best + 1) + b * (next + 1)) / (a + b);
  }

  /** The mean of the streams behind each layer, [layers][places][width]. */
  private static float[][][] states(Decoder decoder, Probes probes, List<Integer> places) {
    int width = decoder.shape().width();
    int streams = decoder.shape().streams();
    float[][][] states = new float[decoder.shape().layers()][places.size()][width];
    Batch batch = probes.batch(true);
    Pass pass = decoder.newPass(batch.length());
    for (int sequence = 0; sequence < batch.sequences(); sequence++) {
      int from = sequence * batch.length();
      List<Integer> own = new ArrayList<>();
      for (int i = 0; i < places.size(); i++) {
        if (places.get(i) / batch.length() == sequence) {
          own.add(i);
        }
      }
      if (own.isEmpty()) {
        continue;
      }
      pass.logits(
          batch.part(sequence, 1),
          (layer, all) -> {
            for (int place : own) {
              int at = (places.get(place) - from) * streams * width;
              for (int i = 0; i < streams * width; i++) {
                states[layer][place][i % width] += all[at + i] / streams;
              }
            }
          });
    }
    return states;
  }

  /** Inner products of tokens, with zeros on the diagonal, as the unbiased estimator wants. */
  private static double[][] gram(float[][] states, int from, int count) {
    double[][] gram = new double[count][count];
    for (int i = 0; i < count; i++) {
      for (int j = 0; j < i; j++) {
        double sum = 0;
        for (int k = 0; k < states[0].length; k++) {
          sum += (double) states[from + i][k] * states[from + j][k];
        }
        gram[i][j] = sum;
        gram[j][i] = sum;
      }
    }
    return gram;
  }

  private static double hsic(double[][] k, double[][] l) {
    int n = k.length;
    double trace = 0;
    double sumK = 0;
    double sumL = 0;
    double cross = 0;
    for (int i = 0; i < n; i++) {
      double rowK = 0;
      double rowL = 0;
      for (int j = 0; j < n; j++) {
        trace += k[i][j] * l[i][j];
        rowK += k[i][j];
        rowL += l[i][j];
      }
      sumK += rowK;
      sumL += rowL;
      cross += rowK * rowL;
    }
    return (trace + sumK * sumL / ((n - 1.0) * (n - 2.0)) - 2 * cross / (n - 2.0))
        / (n * (n - 3.0));
  }
}
