package io.engram4j.examples.floats;

import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;

/**
 * One text on its way: the transformer's cache and Engram's sequence, which grow, roll back and
 * fork together. All that an engine keeps for Engram is the sequence.
 */
final class Context {
  private final Transformer transformer;
  private final EngramModel engram;
  private final KvCache cache;
  private final EngramSequence sequence;

  Context(Transformer transformer, EngramModel engram) {
    this(transformer, engram, transformer.newCache(), engram.newSequence());
  }

  private Context(
      Transformer transformer, EngramModel engram, KvCache cache, EngramSequence sequence) {
    this.transformer = transformer;
    this.engram = engram;
    this.cache = cache;
    this.sequence = sequence;
  }

  int length() {
    return cache.length();
  }

  /** Runs the next tokens, one or many, and returns the logits after each. */
  float[][] feed(int... tokens) {
    sequence.append(tokens);
    return transformer.forward(tokens, cache, this::engram);
  }

  private void engram(int layer, float[] hidden, int tokens) {
    for (EngramLayer own : engram.layers()) {
      if (own.id() == layer) {
        own.apply(sequence, tokens, hidden);
      }
    }
  }

  /** Takes back tokens from a length on. */
  void truncate(int newLength) {
    sequence.truncate(newLength);
    cache.truncate(newLength);
  }

  /** A copy that goes on by itself: many answers to one prompt. */
  Context fork() {
    return new Context(transformer, engram, cache.fork(), sequence.fork());
  }
}
