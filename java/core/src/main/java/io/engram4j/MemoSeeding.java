package io.engram4j;

import io.engram4j.memo.NgramSeed;
import java.util.function.LongConsumer;

/** Puts into the memos of a model's layers what is likely to come. */
final class MemoSeeding {
  private MemoSeeding() {}

  /** Remembers the n-grams of a text. */
  static void text(EngramModel model, int[] tokenIds) {
    EngramSequence sequence = model.newSequence();
    sequence.append(tokenIds);
    EngramBatch batch = model.newBatch();
    for (int first = 0; first < tokenIds.length; first += Workspace.BLOCK) {
      int count = Math.min(Workspace.BLOCK, tokenIds.length - first);
      batch.clear().add(sequence, first, count);
      for (EngramLayer layer : model.layers()) {
        layer.remember(batch);
      }
    }
  }

  /** Remembers n-grams in the order of the seed, until there is no room. */
  static void ngrams(EngramModel model, NgramSeed seed, LongConsumer progress) {
    int orders = model.config().maxNgram() - 1;
    EngramBatch batch = model.newBatch();
    int step = Workspace.BLOCK * orders; // about a block of each order
    for (int first = 0; first < seed.size(); first += step) {
      int end = Math.min(seed.size(), first + step);
      for (int order = 0; order < orders; order++) {
        order(model, seed, first, end, order, batch);
      }
      progress.accept(end - first);
    }
  }

  /** Remembers those of one order, in blocks; each stands at the end of a sequence. */
  private static void order(
      EngramModel model, NgramSeed seed, int first, int end, int order, EngramBatch batch) {
    int ngram = first;
    while (ngram < end) {
      EngramSequence sequence = model.newSequence();
      batch.clear();
      for (; ngram < end && batch.tokens() < Workspace.BLOCK; ngram++) {
        if (seed.length(ngram) == 2 + order) {
          sequence.append(seed, ngram);
          batch.add(sequence, sequence.length() - 1, 1);
        }
      }
      if (batch.tokens() > 0) {
        model.layers().forEach(layer -> layer.remember(batch, order));
      }
    }
  }
}
