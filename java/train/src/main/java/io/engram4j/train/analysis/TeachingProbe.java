package io.engram4j.train.analysis;

import io.engram4j.train.Evaluation;
import io.engram4j.train.Recall;
import io.engram4j.train.Teacher;
import io.engram4j.train.corpus.Facts;
import io.engram4j.train.corpus.Probes;
import io.engram4j.train.corpus.Question;
import io.engram4j.train.data.Bpe;
import io.engram4j.train.data.Sequences;
import io.engram4j.train.model.Batch;
import io.engram4j.train.model.Decoder;
import java.util.List;

/**
 * Teaches a model invented names by rows alone, looks what it knows and what that cost, and takes
 * the lesson back.
 *
 * @param names how many
 * @param before recall of the taught sentences before
 * @param recall after
 * @param asked recall in a phrasing that was not taught
 * @param cost how much the loss on other held-out text rose, in nats
 * @param rows that changed
 * @param seconds it took
 */
public record TeachingProbe(
    int names, double before, double recall, double asked, double cost, int rows, double seconds) {
  private static final int NAMES = 20;
  private static final long SEED = 77;
  private static final int STEPS = 400;
  private static final float RATE = 0.15f;

  /** Runs it. The decoder is as before at the end. */
  public static TeachingProbe of(Decoder decoder, Bpe bpe, Probes probes) {
    Facts facts = Facts.invented(NAMES, SEED);
    List<Teacher.Fact> lines =
        facts.trained().stream().map(q -> new Teacher.Fact(q.prompt(), q.answer())).toList();
    Batch text = probes.batch(true);
    int half = text.sequences() / 2;
    Batch measured = text.part(half, text.sequences() - half); // the others are learned beside
    double before = Evaluation.of(decoder, measured).loss();
    Teacher teacher = new Teacher(decoder, bpe);
    long began = System.nanoTime();
    Teacher.Lesson lesson =
        teacher.teach("invented", lines, STEPS, RATE, Sequences.of(text.part(0, half)), step -> {});
    double seconds = (System.nanoTime() - began) / 1e9;
    double after = Evaluation.of(decoder, measured).loss();
    List<Question> others = facts.asked();
    boolean[] asked =
        new Recall(decoder, bpe)
            .ask(
                others.stream().map(Question::prompt).toList(),
                others.stream().map(Question::answer).toList(),
                true);
    teacher.put(lesson.before());
    return new TeachingProbe(
        NAMES,
        lesson.recallBefore(),
        lesson.recallAfter(),
        Recall.share(asked),
        after - before,
        lesson.taught().rows().size(),
        seconds);
  }
}
