package io.engram4j.train;

import io.engram4j.train.data.Bpe;
import io.engram4j.train.model.Batch;
import io.engram4j.train.model.Decoder;
import io.engram4j.train.model.Pass;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Asks a model what follows prompts. It knows an answer if each of its tokens is the most probable
 * one. For one thread at a time.
 */
public final class Recall {
  private static final int SEQUENCES = 2; // computed at once

  private final Decoder decoder;
  private final Bpe bpe;
  private final Pass pass;
  private final int context;

  /** Makes room for some questions at once. */
  public Recall(Decoder decoder, Bpe bpe) {
    this.decoder = decoder;
    this.bpe = bpe;
    this.context = decoder.shape().context();
    this.pass = decoder.newPass(SEQUENCES * context);
  }

  /** A question in ids, at a place of a batch. */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  private record Asked(int index, int at, int[] ids, int answerFrom) {}

  /**
   * Returns which answers the model knows.
   *
   * @param prompts what stands before
   * @param answers what follows, after a space; as many
   * @param memory whether Engram's layers have their memory
   * @throws IllegalArgumentException if a prompt and its answer are longer than the context
   */
  public boolean[] ask(List<String> prompts, List<String> answers, boolean memory) {
    boolean[] known = new boolean[prompts.size()];
    List<Asked> some = new ArrayList<>();
    int filled = 0; // of the sequences so far
    for (int i = 0; i < prompts.size(); i++) {
      int[] ids = bpe.encode(prompts.get(i) + " " + answers.get(i));
      int tokens = ids.length - 1;
      if (tokens > context) {
        throw new IllegalArgumentException(
            "\""
                + prompts.get(i)
                + "\" and its answer have "
                + ids.length
                + " tokens, the context "
                + context);
      }
      int at = filled % context + tokens > context ? (filled / context + 1) * context : filled;
      if (at + tokens > SEQUENCES * context) {
        ask(some, memory, known);
        some.clear();
        at = 0;
      }
      int from = Math.max(0, bpe.encode(prompts.get(i)).length - 1);
      some.add(new Asked(i, at, ids, from));
      filled = at + tokens;
    }
    ask(some, memory, known);
    return known;
  }

  private void ask(List<Asked> some, boolean memory, boolean[] known) {
    if (some.isEmpty()) {
      return;
    }
    int tokens = SEQUENCES * context;
    int[] ids = new int[tokens];
    int[] start = new int[tokens];
    Arrays.setAll(start, i -> i); // what is between questions is for itself
    for (Asked one : some) {
      int count = one.ids().length - 1;
      System.arraycopy(one.ids(), 0, ids, one.at(), count);
      Arrays.fill(start, one.at(), one.at() + count, one.at());
    }
    int[] targets = new int[tokens];
    Arrays.fill(targets, -1);
    boolean[] live = new boolean[tokens];
    Arrays.fill(live, memory);
    float[] logits = pass.logits(new Batch(SEQUENCES, context, ids, targets, start, live));
    for (Asked one : some) {
      known[one.index()] = isKnown(one, logits);
    }
  }

  private boolean isKnown(Asked one, float[] logits) {
    int size = decoder.shape().vocabulary();
    for (int i = one.answerFrom(); i < one.ids().length - 1; i++) {
      int row = (one.at() + i) * size;
      float wanted = logits[row + one.ids()[i + 1]];
      for (int other = 0; other < size; other++) {
        if (logits[row + other] > wanted) {
          return false;
        }
      }
    }
    return true;
  }

  /** Returns the share of what is true. */
  public static double share(boolean[] known) {
    int count = 0;
    for (boolean one : known) {
      count += one ? 1 : 0;
    }
    return count / (double) Math.max(1, known.length);
  }
}
