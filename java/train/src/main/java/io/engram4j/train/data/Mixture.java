package io.engram4j.train.data;

import io.engram4j.train.model.Batch;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Several corpora, of each of which a step's sequences take their share; within a corpus they go on
 * in its order. Immutable and thread-safe.
 */
public final class Mixture implements Sequences {
  /**
   * A corpus.
   *
   * @param documents what it holds
   * @param weight its share, beside the others'
   * @param withoutMemory share of its sequences that train with the memory left out
   */
  public record Part(PackedDocuments documents, double weight, double withoutMemory) {
    /** A corpus of which all sequences have the memory. */
    public Part(PackedDocuments documents, double weight) {
      this(documents, weight, 0);
    }
  }

  private final List<Part> parts;
  private final long seed;
  private final double total;

  /**
   * Mixes corpora.
   *
   * @throws IllegalArgumentException if there are none, their contexts differ, a weight is negative
   *     or all are zero, or a share without memory is not one from 0 to 1
   */
  public Mixture(List<Part> parts, long seed) {
    this.parts = List.copyOf(parts);
    this.seed = seed;
    this.total = parts.stream().mapToDouble(Part::weight).sum();
    if (parts.isEmpty() || !(total > 0)) {
      throw new IllegalArgumentException(parts.size() + " corpora of weight " + total);
    }
    int context = parts.getFirst().documents().context();
    for (Part part : parts) {
      if (part.documents().context() != context
          || !(part.weight() >= 0)
          || !(part.withoutMemory() >= 0 && part.withoutMemory() <= 1)) {
        throw new IllegalArgumentException(
            "corpora of "
                + context
                + " and "
                + part.documents().context()
                + " tokens, weight "
                + part.weight()
                + ", without memory "
                + part.withoutMemory());
      }
    }
  }

  @Override
  public String describe() {
    List<String> names = new ArrayList<>();
    for (Part part : parts) {
      String without =
          part.withoutMemory() == 0 ? "" : ", " + part.withoutMemory() + " without memory";
      names.add(part.weight() + " of " + part.documents().describe() + without);
    }
    return "[" + String.join(", ", names) + "] seed " + seed;
  }

  /**
   * How many sequences of a corpus come before a step: as many as its share, rounded so that after
   * every step each corpus had its due within one sequence.
   */
  private long before(int part, long sequences) {
    double upTo = 0;
    for (int i = 0; i < part; i++) {
      upTo += parts.get(i).weight();
    }
    double low = Math.floor(sequences * (upTo / total) + 0.5);
    double high = Math.floor(sequences * ((upTo + parts.get(part).weight()) / total) + 0.5);
    return (long) (high - low);
  }

  @Override
  public Batch batch(long step, int sequences) {
    List<Batch> batches = new ArrayList<>();
    for (int part = 0; part < parts.size(); part++) {
      long first = before(part, step * sequences);
      // shares of neighbouring corpora may round against each other
      long count = Math.max(0, before(part, (step + 1) * sequences) - first);
      for (long i = 0; i < count; i++) {
        batches.add(sequence(part, first + i));
      }
    }
    SplittableRandom random = new SplittableRandom(seed * 7_919 + step);
    for (int i = batches.size() - 1; i > 0; i--) {
      java.util.Collections.swap(batches, i, random.nextInt(i + 1));
    }
    return join(batches.subList(0, sequences));
  }

  private Batch sequence(int part, long number) {
    Batch one = parts.get(part).documents().sequences(number, 1);
    long drawn = (seed * parts.size() + part) * 1_000_003 + number;
    return new SplittableRandom(drawn).nextDouble() < parts.get(part).withoutMemory()
        ? one.withMemory(false)
        : one;
  }

  private static Batch join(List<Batch> batches) {
    int length = batches.getFirst().length();
    int tokens = batches.size() * length;
    int[] ids = new int[tokens];
    int[] targets = new int[tokens];
    int[] start = new int[tokens];
    boolean[] live = new boolean[tokens];
    for (int i = 0; i < batches.size(); i++) {
      Batch one = batches.get(i);
      System.arraycopy(one.ids(), 0, ids, i * length, length);
      System.arraycopy(one.targets(), 0, targets, i * length, length);
      System.arraycopy(one.live(), 0, live, i * length, length);
      for (int j = 0; j < length; j++) {
        start[i * length + j] = one.start()[j] + i * length;
      }
    }
    return new Batch(batches.size(), length, ids, targets, start, live);
  }
}
