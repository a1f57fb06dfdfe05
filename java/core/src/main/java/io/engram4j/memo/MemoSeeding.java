package io.engram4j.memo;

import io.engram4j.model.NgramSeed;
import io.engram4j.run.LayerRuntime;
import io.engram4j.run.SequenceState;
import io.engram4j.run.Step;
import java.util.List;
import java.util.function.LongConsumer;
import java.util.function.Supplier;

/** Puts into the memos of a model's layers what is likely to come. */
public final class MemoSeeding {
  private final List<LayerRuntime> layers;
  private final List<MemoProjector> memos; // one per layer
  private final Step step;
  private final Supplier<SequenceState> sequences;

  /**
   * A seeding of the layers' memos.
   *
   * @param step whose memory and threads are used
   * @param sequences makes empty sequences
   */
  public MemoSeeding(
      List<LayerRuntime> layers,
      List<MemoProjector> memos,
      Step step,
      Supplier<SequenceState> sequences) {
    this.layers = layers;
    this.memos = memos;
    this.step = step;
    this.sequences = sequences;
  }

  /** Remembers the n-grams of a text. */
  public void text(SequenceState sequence) {
    for (int first = 0; first < sequence.length(); first += Step.BLOCK) {
      int count = Math.min(Step.BLOCK, sequence.length() - first);
      step.windows().clear();
      step.windows().add(sequence, first, count);
      layers.forEach(step::remember);
    }
  }

  /** Remembers n-grams in the order of the seed, until there is no room. */
  public void ngrams(NgramSeed seed, LongConsumer progress) {
    int orders = seed.maxNgram() - 1;
    int some = Step.BLOCK * orders; // about a block of each order
    for (int first = 0; first < seed.size(); first += some) {
      int end = Math.min(seed.size(), first + some);
      for (int order = 0; order < orders; order++) {
        order(seed, first, end, order);
      }
      progress.accept(end - first);
    }
  }

  /** Remembers those of one order, in blocks; each stands at the end of a sequence. */
  private void order(NgramSeed seed, int first, int end, int order) {
    int ngram = first;
    while (ngram < end) {
      SequenceState sequence = sequences.get();
      step.windows().clear();
      for (; ngram < end && step.windows().tokens() < Step.BLOCK; ngram++) {
        if (seed.length(ngram) == 2 + order) {
          append(sequence, seed, ngram);
          step.windows().add(sequence, sequence.length() - 1, 1);
        }
      }
      if (step.windows().tokens() > 0) {
        for (int i = 0; i < layers.size(); i++) {
          MemoProjector memo = memos.get(i);
          step.remember(
              layers.get(i),
              (projector, windows, rowIds, rows, replaced, tokens, gather) ->
                  memo.seed(projector, order, windows, rowIds, rows, replaced, tokens, gather));
        }
      }
    }
  }

  /** Appends an n-gram of compressed ids, of which the newest comes last. */
  private static void append(SequenceState sequence, NgramSeed seed, int ngram) {
    int count = seed.length(ngram);
    sequence.reserve(count);
    for (int i = 0; i < count; i++) {
      sequence.set(i, seed.id(ngram, count - 1 - i));
    }
    sequence.extend(count);
  }
}
