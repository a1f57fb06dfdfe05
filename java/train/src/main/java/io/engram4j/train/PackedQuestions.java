package io.engram4j.train;

import io.engram4j.train.data.Bpe;
import io.engram4j.train.model.Batch;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Questions with their answers, as many in a batch as fit, each a document of its own. Only tokens
 * of answers are targets.
 */
record PackedQuestions(List<Batch> batches, List<Place> places) {
  /**
   * Where a question is.
   *
   * @param batch its number
   * @param at the question's first token in it
   * @param ids of question and answer
   * @param answer index of the first id of the answer
   */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  record Place(int batch, int at, int[] ids, int answer) {}

  /**
   * Packs questions.
   *
   * @param sequences of a batch, each of {@code context} tokens
   * @throws IllegalArgumentException if one is longer than that
   */
  static PackedQuestions of(
      Bpe bpe, List<String> prompts, List<String> answers, int sequences, int context) {
    List<Place> places = new ArrayList<>();
    int batch = 0;
    int filled = 0; // tokens of the batch so far
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
      if (at + tokens > sequences * context) {
        batch++;
        at = 0;
      }
      // an answer has one token at least, however the words before it are cut
      int answer = Math.clamp(bpe.encode(prompts.get(i)).length, 1, Math.max(1, ids.length - 1));
      places.add(new Place(batch, at, ids, answer));
      filled = at + tokens;
    }
    List<Batch> batches = new ArrayList<>();
    for (int i = 0; i <= batch && !places.isEmpty(); i++) {
      batches.add(batch(i, places, sequences, context));
    }
    return new PackedQuestions(batches, places);
  }

  private static Batch batch(int number, List<Place> places, int sequences, int context) {
    int tokens = sequences * context;
    int[] ids = new int[tokens];
    int[] targets = new int[tokens];
    int[] start = new int[tokens];
    boolean[] live = new boolean[tokens];
    Arrays.fill(targets, -1);
    Arrays.setAll(start, i -> i); // what is between questions is for itself
    for (Place place : places) {
      if (place.batch() == number) {
        int count = place.ids().length - 1;
        int from = place.at();
        System.arraycopy(place.ids(), 0, ids, from, count);
        Arrays.fill(start, from, from + count, from);
        Arrays.fill(live, from, from + count, true);
        for (int i = place.answer(); i <= count; i++) {
          targets[from + i - 1] = place.ids()[i];
        }
      }
    }
    return new Batch(sequences, context, ids, targets, start, live);
  }
}
