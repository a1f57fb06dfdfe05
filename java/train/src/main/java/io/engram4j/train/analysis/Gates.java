package io.engram4j.train.analysis;

import io.engram4j.train.corpus.Probes;
import io.engram4j.train.data.Bpe;
import io.engram4j.train.model.Batch;
import io.engram4j.train.model.Decoder;
import io.engram4j.train.model.Pass;
import java.util.ArrayList;
import java.util.List;

/**
 * Where a model lets its memory in: the mean gate of the branches, by layer.
 *
 * @param layer its id
 * @param inNames mean where a token lies within a name
 * @param elsewhere mean of all others
 * @param byFrequency mean by how often the 3-gram that ends there is in the training text
 * @param byClass mean by what a token is
 */
public record Gates(
    int layer, double inNames, double elsewhere, List<Mean> byFrequency, List<TokenClass> byClass) {
  private static final int[] BOUNDS = {0, 1, 4, 16, 64, 256, Integer.MAX_VALUE};

  public Gates {
    byFrequency = List.copyOf(byFrequency);
    byClass = List.copyOf(byClass);
  }

  /**
   * The mean of some tokens.
   *
   * @param least how often their 3-gram was seen, at least
   * @param tokens how many they are
   * @param gate their mean gate
   */
  public record Mean(int least, int tokens, double gate) {}

  /**
   * The mean of a class of tokens.
   *
   * @param name such as within words
   * @param tokens how many they are
   * @param gate their mean gate
   */
  public record TokenClass(String name, int tokens, double gate) {}

  private static List<TokenClass> classes(
      double[] gates, boolean[] within, Probes probes, Bpe bpe) {
    String[] kinds = new String[gates.length];
    for (int i = 0; i < kinds.length; i++) {
      if (probes.targets()[i] < 0) {
        kinds[i] = "";
        continue;
      }
      String text = bpe.decode(probes.ids()[i]);
      char last = text.isEmpty() ? ' ' : text.charAt(text.length() - 1);
      kinds[i] =
          within[i]
              ? "in names"
              : !Character.isLetterOrDigit(last)
                  ? "punctuation, line ends"
                  : Character.isLetterOrDigit(text.charAt(0)) ? "further pieces of words" : "words";
    }
    List<TokenClass> classes = new ArrayList<>();
    for (String name :
        List.of("in names", "further pieces of words", "words", "punctuation, line ends")) {
      Mean mean = mean(gates, i -> kinds[i].equals(name), 0);
      classes.add(new TokenClass(name, mean.tokens(), mean.gate()));
    }
    return classes;
  }

  /** Returns the gates of held-out text, of each Engram layer. */
  public static List<Gates> of(Decoder decoder, Bpe bpe, Probes probes) {
    List<Integer> ids = decoder.memory().config().layerIds();
    double[][] gates = gates(decoder, probes.batch(true));
    boolean[] within = withinNames(probes, bpe);
    List<Gates> all = new ArrayList<>();
    for (int layer = 0; layer < gates.length; layer++) {
      double[] own = gates[layer];
      List<Mean> means = new ArrayList<>();
      for (int bound = 0; bound + 1 < BOUNDS.length; bound++) {
        int least = BOUNDS[bound];
        int below = BOUNDS[bound + 1];
        means.add(
            mean(own, i -> probes.trigrams()[i] >= least && probes.trigrams()[i] < below, least));
      }
      all.add(
          new Gates(
              ids.get(layer),
              mean(own, i -> within[i], 0).gate(),
              mean(own, i -> !within[i] && probes.targets()[i] >= 0, 0).gate(),
              means,
              classes(own, within, probes, bpe)));
    }
    return all;
  }

  /** Returns the mean gate of the branches, [Engram layers][tokens]. */
  public static double[][] gates(Decoder decoder, Batch batch) {
    int layers = decoder.memory().config().layerIds().size();
    int branches = decoder.shape().streams();
    double[][] gates = new double[layers][batch.tokens()];
    Pass pass = decoder.newPass(batch.length());
    for (int sequence = 0; sequence < batch.sequences(); sequence++) {
      pass.logits(batch.part(sequence, 1));
      for (int layer = 0; layer < layers; layer++) {
        for (int i = 0; i < batch.length() * branches; i++) {
          gates[layer][sequence * batch.length() + i / branches] += pass.gates(layer)[i] / branches;
        }
      }
    }
    return gates;
  }

  /** A token is in a name if it is one, or goes on the word of one. */
  private static boolean[] withinNames(Probes probes, Bpe bpe) {
    boolean[] within = new boolean[probes.ids().length];
    for (int i = 0; i < within.length; i++) {
      if (probes.targets()[i] < 0 || (i + 1) % probes.length() == 0) {
        continue;
      }
      String next = bpe.decode(probes.targets()[i]);
      boolean goesOn = within[i] && !next.isEmpty() && Character.isLetter(next.charAt(0));
      within[i + 1] = probes.names()[i] || goesOn;
    }
    return within;
  }

  private static Mean mean(double[] gates, java.util.function.IntPredicate places, int least) {
    double sum = 0;
    int count = 0;
    for (int i = 0; i < gates.length; i++) {
      if (places.test(i)) {
        sum += gates[i];
        count++;
      }
    }
    return new Mean(least, count, sum / Math.max(1, count));
  }
}
