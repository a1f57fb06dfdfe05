package io.engram4j.train.analysis;

import io.engram4j.train.Evaluation;
import io.engram4j.train.Recall;
import io.engram4j.train.corpus.Passages;
import io.engram4j.train.corpus.Probes;
import io.engram4j.train.corpus.Question;
import io.engram4j.train.data.Bpe;
import io.engram4j.train.model.Decoder;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntPredicate;

/**
 * What a model still gets right when its memory is switched off, by kind of target.
 *
 * @param lossOn mean loss on held-out text with memory, in nats
 * @param lossOff without
 * @param kinds of targets and questions
 */
public record Ablation(double lossOn, double lossOff, List<Kind> kinds) {
  public Ablation {
    kinds = List.copyOf(kinds);
  }

  /**
   * One kind.
   *
   * @param name such as reading
   * @param count of targets or questions
   * @param on share that is right with memory
   * @param off share that is right without
   * @param guess share that is right of one who always gives the most common answer, or of a
   *     question on a passage any of those that the passage has
   */
  public record Kind(String name, int count, double on, double off, double guess) {
    /** Returns the share of what is right with memory that is right without, 0 where nothing is. */
    public double retained() {
      return on == 0 ? 0 : off / on;
    }
  }

  /** The kind of targets that are names. */
  public static final String NAMES = "names";

  /** Targets that end a 4-gram which is not in the training text. */
  public static final String UNSEEN = "4-grams never seen";

  /** Questions on passages. */
  public static final String READING = "reading";

  /** All questions in phrasings that were trained. */
  public static final String TRAINED = "facts, trained phrasings";

  /** All questions in phrasings that were not. */
  public static final String ASKED = "facts, another phrasing";

  /** Runs all probes with the memory on and off. */
  public static Ablation of(Decoder decoder, Bpe bpe, Probes probes) {
    Evaluation on = Evaluation.of(decoder, probes.batch(true));
    Evaluation off = Evaluation.of(decoder, probes.batch(false));
    List<Kind> kinds = new ArrayList<>();
    int[] seen = probes.seen();
    add(kinds, NAMES, on, off, i -> probes.names()[i]);
    add(kinds, UNSEEN, on, off, i -> seen[i] == 0);
    add(kinds, "4-grams seen 1 to 3 times", on, off, i -> seen[i] >= 1 && seen[i] <= 3);
    add(kinds, "4-grams seen 4 to 15 times", on, off, i -> seen[i] >= 4 && seen[i] <= 15);
    add(kinds, "4-grams seen 16 times or more", on, off, i -> seen[i] >= 16);
    Recall recall = new Recall(decoder, bpe);
    ask(kinds, TRAINED, probes.trained(), recall);
    ask(kinds, ASKED, probes.asked(), recall);
    ask(kinds, READING, probes.reading(), recall);
    return new Ablation(on.loss(), off.loss(), kinds);
  }

  private static void add(
      List<Kind> kinds, String name, Evaluation on, Evaluation off, IntPredicate places) {
    if (on.count(places) > 0) {
      List<Integer> targets = new ArrayList<>();
      for (int i = 0; i < on.targets().length; i++) {
        if (on.targets()[i] >= 0 && places.test(i)) {
          targets.add(on.targets()[i]);
        }
      }
      kinds.add(
          new Kind(
              name,
              targets.size(),
              on.accuracy(places),
              off.accuracy(places),
              mostCommon(targets)));
    }
  }

  /** Asks all, and by what they are about where that is more than one thing. */
  private static void ask(List<Kind> kinds, String name, List<Question> questions, Recall recall) {
    if (questions.isEmpty()) {
      return;
    }
    List<String> prompts = questions.stream().map(Question::prompt).toList();
    List<String> answers = questions.stream().map(Question::answer).toList();
    boolean[] on = recall.ask(prompts, answers, true);
    boolean[] off = recall.ask(prompts, answers, false);
    double guess = name.equals(READING) ? Passages.guess(questions) : mostCommon(answers);
    kinds.add(new Kind(name, on.length, Recall.share(on), Recall.share(off), guess));
    Map<String, int[]> about = new LinkedHashMap<>(); // count, right with memory, without
    for (int i = 0; i < on.length; i++) {
      int[] counts = about.computeIfAbsent(questions.get(i).about(), any -> new int[3]);
      counts[0]++;
      counts[1] += on[i] ? 1 : 0;
      counts[2] += off[i] ? 1 : 0;
    }
    if (about.size() > 1) {
      about.forEach((kind, counts) ->
          kinds.add(
              new Kind(
                  name + ": " + kind,
                  counts[0],
                  counts[1] / (double) counts[0],
                  counts[2] / (double) counts[0],
                  mostCommon(
                      questions.stream()
                          .filter(question -> question.about().equals(kind))
                          .map(Question::answer)
                          .toList()))));
    }
  }

  private static double mostCommon(List<?> all) {
    Map<Object, Integer> counts = new LinkedHashMap<>();
    all.forEach(each -> counts.merge(each, 1, Integer::sum));
    return counts.values().stream().mapToInt(count -> count).max().orElse(0)
        / (double) Math.max(1, all.size());
  }

  /** Returns a kind by its name, or one of which nothing was asked. */
  public Kind kind(String name) {
    return kinds.stream()
        .filter(kind -> kind.name().equals(name))
        .findFirst()
        .orElse(new Kind(name, 0, 0, 0, 0));
  }
}
