package io.engram4j.train;

import io.engram4j.train.data.Bpe;
import io.engram4j.train.model.Decoder;
import io.engram4j.train.model.Pass;
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

  /**
   * Returns which answers the model knows.
   *
   * @param prompts what stands before
   * @param answers what follows, after a space; as many
   * @param memory whether Engram's layers have their memory
   * @throws IllegalArgumentException if a prompt and its answer are longer than the context
   */
  public boolean[] ask(List<String> prompts, List<String> answers, boolean memory) {
    PackedQuestions packed = PackedQuestions.of(bpe, prompts, answers, SEQUENCES, context);
    boolean[] known = new boolean[prompts.size()];
    for (int number = 0; number < packed.batches().size(); number++) {
      float[] logits = pass.logits(packed.batches().get(number).withMemory(memory));
      for (int i = 0; i < known.length; i++) {
        PackedQuestions.Place place = packed.places().get(i);
        if (place.batch() == number) {
          known[i] = isKnown(place, logits);
        }
      }
    }
    return known;
  }

  private boolean isKnown(PackedQuestions.Place place, float[] logits) {
    int size = decoder.shape().vocabulary();
    for (int i = place.answer(); i < place.ids().length; i++) {
      int row = (place.at() + i - 1) * size;
      float wanted = logits[row + place.ids()[i]];
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
