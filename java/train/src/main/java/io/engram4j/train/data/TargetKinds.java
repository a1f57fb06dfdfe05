package io.engram4j.train.data;

import io.engram4j.train.model.Batch;
import java.util.Arrays;

/**
 * What kind of target each token of a batch has, for accuracy by kind: names, and n-grams that
 * training saw often, seldom, or never. Immutable and thread-safe.
 */
public final class TargetKinds {
  private static final int ORDER = 4;

  private final boolean[] names;
  private final int[] seen;

  private TargetKinds(boolean[] names, int[] seen) {
    this.names = names;
    this.seen = seen;
  }

  /**
   * Looks at a batch.
   *
   * @param trained token ids that were trained on
   */
  public static TargetKinds of(Batch batch, Bpe bpe, int[] trained) {
    long[] counted = ngrams(trained, ORDER);
    boolean[] names = new boolean[batch.tokens()];
    int[] seen = new int[batch.tokens()];
    for (int i = 0; i < batch.tokens(); i++) {
      int target = batch.targets()[i];
      seen[i] = -1;
      if (target < 0) {
        continue;
      }
      if (begins(bpe, batch.ids()[i], target)) {
        markName(batch, bpe, i, names);
      }
      if (i - (ORDER - 2) >= batch.start()[i]) {
        long hash = 0;
        for (int back = ORDER - 2; back >= 0; back--) {
          hash = mix(hash, batch.ids()[i - back]);
        }
        seen[i] = count(counted, mix(hash, target));
      }
    }
    return new TargetKinds(names, seen);
  }

  /** Marks all tokens of a word that begins with a capital, if it is longer than I and O. */
  private static void markName(Batch batch, Bpe bpe, int first, boolean[] names) {
    int letters = bpe.decode(batch.targets()[first]).length() - 1;
    int end = first + 1;
    for (; end < batch.tokens() && batch.start()[end] == batch.start()[first]; end++) {
      int target = batch.targets()[end];
      String text = target < 0 ? "" : bpe.decode(target);
      if (text.isEmpty() || !Character.isLetter(text.charAt(0))) {
        break;
      }
      letters += text.length();
    }
    if (letters > 1) {
      Arrays.fill(names, first, end, true);
    }
  }

  /** Whether a target begins with a capital inside a sentence. */
  private static boolean begins(Bpe bpe, int before, int target) {
    String text = bpe.decode(target);
    if (text.length() < 2 || text.charAt(0) != ' ' || !Character.isUpperCase(text.charAt(1))) {
      return false;
    }
    String last = bpe.decode(before);
    boolean within = !last.isEmpty() && Character.isLowerCase(last.charAt(last.length() - 1));
    return within || last.endsWith(",");
  }

  private static long mix(long hash, int id) {
    long x = (hash ^ id) * 0x9e3779b97f4a7c15L;
    return x ^ (x >>> 29);
  }

  private static long[] ngrams(int[] tokens, int order) {
    long[] hashes = new long[Math.max(0, tokens.length - order + 1)];
    for (int i = 0; i < hashes.length; i++) {
      long hash = 0;
      for (int j = 0; j < order; j++) {
        hash = mix(hash, tokens[i + j]);
      }
      hashes[i] = hash;
    }
    Arrays.sort(hashes);
    return hashes;
  }

  private static int count(long[] sorted, long hash) {
    int at = Arrays.binarySearch(sorted, hash);
    if (at < 0) {
      return 0;
    }
    int from = at;
    while (from > 0 && sorted[from - 1] == hash) {
      from--;
    }
    int to = at;
    while (to + 1 < sorted.length && sorted[to + 1] == hash) {
      to++;
    }
    return to - from + 1;
  }

  /**
   * Returns how often the 3-gram that ends with each token of a batch occurs in training, -1 where
   * its document has none yet.
   */
  public static int[] trigrams(Batch batch, int[] trained) {
    long[] counted = ngrams(trained, ORDER - 1);
    int[] counts = new int[batch.tokens()];
    for (int i = 0; i < counts.length; i++) {
      counts[i] = -1;
      if (i - 2 >= batch.start()[i]) {
        long first = mix(mix(0, batch.ids()[i - 2]), batch.ids()[i - 1]);
        counts[i] = count(counted, mix(first, batch.ids()[i]));
      }
    }
    return counts;
  }

  /**
   * Returns what share of the places of a text its 1, 2, 4, 8, ... most frequent 3-grams stand at:
   * what caches of so many n-grams would serve.
   */
  public static double[] served(int[] text) {
    long[] sorted = ngrams(text, ORDER - 1);
    int[] counts = new int[sorted.length];
    int distinct = 0;
    for (int i = 0; i < sorted.length; i++) {
      if (i > 0 && sorted[i] != sorted[i - 1]) {
        distinct++;
      }
      counts[distinct]++;
    }
    int[] all = Arrays.copyOf(counts, sorted.length == 0 ? 0 : distinct + 1);
    Arrays.sort(all);
    double[] shares = new double[33 - Integer.numberOfLeadingZeros(Math.max(1, all.length))];
    long sum = 0;
    int taken = 0;
    for (int power = 0; power < shares.length; power++) {
      for (; taken < Math.min(1L << power, all.length); taken++) {
        sum += all[all.length - 1 - taken];
      }
      shares[power] = sum / (double) Math.max(1, sorted.length);
    }
    return shares;
  }

  /** Returns how often the 4-gram that ends with each target occurs, -1 where there is none. */
  public int[] counts() {
    return seen.clone();
  }

  /**
   * Returns whether the target of a token is of a name: a word of at least two letters that is
   * capitalised inside a sentence, whatever tokens it has.
   */
  public boolean name(int token) {
    return names[token];
  }

  /**
   * Returns whether the 4-gram that ends with the target occurs so often in training.
   *
   * @param least at least
   * @param most at most
   */
  public boolean seen(int token, int least, int most) {
    return seen[token] >= least && seen[token] <= most;
  }
}
