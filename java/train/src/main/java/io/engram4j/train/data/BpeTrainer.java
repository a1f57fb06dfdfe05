package io.engram4j.train.data;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.Set;

/**
 * Learns the merges of a {@link Bpe}: again and again the most frequent pair within words becomes a
 * token; of equally frequent ones that with the smallest ids. The same each time. For one thread.
 */
public final class BpeTrainer {
  private final Map<String, Integer> places = new LinkedHashMap<>();
  private final List<long[]> counts = new ArrayList<>();

  /** Begins without any text. */
  public BpeTrainer() {}

  /** Counts the words of a text. */
  public BpeTrainer add(String text) {
    for (String word : Bpe.words(text)) {
      Integer place = places.putIfAbsent(word, places.size());
      if (place == null) {
        counts.add(new long[] {1});
      } else {
        counts.get(place)[0]++;
      }
    }
    return this;
  }

  /** A word's ids, which merges shorten, and how often it occurs. */
  private static final class Word {
    final int[] ids;
    final long count;
    int length;

    Word(String text, long count) {
      byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
      this.ids = new int[utf8.length];
      for (int i = 0; i < ids.length; i++) {
        ids[i] = Bpe.FIRST_BYTE + (utf8[i] & 0xff);
      }
      this.length = ids.length;
      this.count = count;
    }
  }

  private record Candidate(long pair, long count) {}

  /**
   * Learns a vocabulary.
   *
   * @param size ids, those of specials and bytes included; fewer where the text has no more pairs
   * @throws IllegalArgumentException if it is below 259
   */
  public Bpe train(int size) {
    if (size < Bpe.FIRST_MERGE) {
      throw new IllegalArgumentException(
          "a vocabulary has at least " + Bpe.FIRST_MERGE + " ids, not " + size);
    }
    List<Word> words = new ArrayList<>();
    places.forEach((text, place) -> words.add(new Word(text, counts.get(place)[0])));
    Map<Long, Long> pairs = new HashMap<>();
    Map<Long, Set<Integer>> where = new HashMap<>();
    for (int i = 0; i < words.size(); i++) {
      count(words.get(i), i, 1, pairs, where, null);
    }
    PriorityQueue<Candidate> queue =
        new PriorityQueue<>((a, b) ->
            a.count() != b.count()
                ? Long.compare(b.count(), a.count())
                : Long.compare(a.pair(), b.pair()));
    pairs.forEach((pair, count) -> queue.add(new Candidate(pair, count)));
    int[] left = new int[size - Bpe.FIRST_MERGE];
    int[] right = new int[left.length];
    int merges = 0;
    while (merges < left.length && !queue.isEmpty()) {
      Candidate best = queue.remove();
      long now = pairs.getOrDefault(best.pair(), 0L);
      if (now != best.count()) {
        continue; // counted again since, and queued again then
      }
      if (now < 2) {
        break; // a pair that occurs once teaches nothing
      }
      left[merges] = (int) (best.pair() >>> 32);
      right[merges] = (int) best.pair();
      merge(words, best.pair(), Bpe.FIRST_MERGE + merges, pairs, where, queue);
      merges++;
    }
    return new Bpe(Arrays.copyOf(left, merges), Arrays.copyOf(right, merges));
  }

  private static void merge(
      List<Word> words,
      long pair,
      int joined,
      Map<Long, Long> pairs,
      Map<Long, Set<Integer>> where,
      PriorityQueue<Candidate> queue) {
    Set<Long> touched = new HashSet<>();
    Set<Integer> in = where.remove(pair);
    for (int at : in == null ? Set.<Integer>of() : in) {
      Word word = words.get(at);
      count(word, at, -1, pairs, where, touched);
      word.length = Bpe.merge(word.ids, word.length, (int) (pair >>> 32), (int) pair, joined);
      count(word, at, 1, pairs, where, touched);
    }
    for (long one : touched) {
      long count = pairs.getOrDefault(one, 0L);
      if (count > 0) {
        queue.add(new Candidate(one, count));
      } else {
        pairs.remove(one);
      }
    }
  }

  private static void count(
      Word word,
      int at,
      int sign,
      Map<Long, Long> pairs,
      Map<Long, Set<Integer>> where,
      @org.jspecify.annotations.Nullable Set<Long> touched) {
    for (int i = 0; i + 1 < word.length; i++) {
      long pair = Bpe.pair(word.ids[i], word.ids[i + 1]);
      pairs.merge(pair, sign * word.count, Long::sum);
      if (sign > 0) {
        where.computeIfAbsent(pair, any -> new HashSet<>()).add(at);
      }
      if (touched != null) {
        touched.add(pair);
      }
    }
  }
}
