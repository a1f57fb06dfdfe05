package io.engram4j.examples.floats;

import java.util.Arrays;

/** Generates tokens after a prompt, with or without drafts, in chunks of any size. */
final class Generation {
  private final Context context;
  private final Sampler sampler;
  private int[] tokens = {};
  private float[] next = {}; // logits after the last token
  private int drafted;
  private int accepted;

  Generation(Context context, Sampler sampler) {
    this.context = context;
    this.sampler = sampler;
  }

  /** Runs the prompt in chunks. */
  Generation prompt(int[] prompt, int chunk) {
    for (int from = 0; from < prompt.length; from += chunk) {
      int[] some = Arrays.copyOfRange(prompt, from, Math.min(prompt.length, from + chunk));
      float[][] logits = context.feed(some);
      next = logits[logits.length - 1];
      push(some);
    }
    return this;
  }

  /** Goes on from here twice: this one and the one that is returned, with its own sampling. */
  Generation fork(Sampler other) {
    Generation fork = new Generation(context.fork(), other);
    fork.tokens = tokens.clone();
    fork.next = next;
    return fork;
  }

  private void push(int... more) {
    int length = tokens.length;
    tokens = Arrays.copyOf(tokens, length + more.length);
    System.arraycopy(more, 0, tokens, length, more.length);
  }

  /** Generates one by one. */
  int[] decode(int count) {
    int from = tokens.length;
    for (int i = 0; i < count; i++) {
      int token = sampler.choose(next, tokens.length);
      push(token);
      next = context.feed(token)[0];
    }
    return Arrays.copyOfRange(tokens, from, tokens.length);
  }

  /**
   * Generates the same tokens by drafts: what followed the last two tokens earlier in the text is
   * run in one go with the token that is certain, and what the model would not have chosen is taken
   * back.
   */
  int[] speculate(int count, int longest) {
    int from = tokens.length;
    while (tokens.length < from + count) {
      push(sampler.choose(next, tokens.length));
      int[] draft = draft(Math.min(longest, from + count - tokens.length));
      int certain = tokens.length;
      int[] run = Arrays.copyOf(new int[] {tokens[certain - 1]}, 1 + draft.length);
      System.arraycopy(draft, 0, run, 1, draft.length);
      float[][] logits = context.feed(run);
      int agreed = 0;
      while (agreed < draft.length
          && sampler.choose(logits[agreed], certain + agreed) == draft[agreed]) {
        agreed++;
      }
      push(Arrays.copyOf(draft, agreed));
      context.truncate(tokens.length); // refused drafts leave the cache and Engram's sequence
      next = logits[agreed];
      drafted += draft.length;
      accepted += agreed;
    }
    return Arrays.copyOfRange(tokens, from, tokens.length);
  }

  private int[] draft(int longest) {
    int end = tokens.length;
    for (int at = end - 3; at >= 0; at--) {
      if (tokens[at] == tokens[end - 2] && tokens[at + 1] == tokens[end - 1]) {
        return Arrays.copyOfRange(tokens, at + 2, Math.min(end, at + 2 + longest));
      }
    }
    return new int[0];
  }

  int drafted() {
    return drafted;
  }

  int accepted() {
    return accepted;
  }
}
