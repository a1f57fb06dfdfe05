package io.engram4j.train;

import io.engram4j.table.RowSet;
import io.engram4j.train.data.Bpe;
import io.engram4j.train.data.Sequences;
import io.engram4j.train.model.Batch;
import io.engram4j.train.model.Decoder;
import io.engram4j.train.model.Pass;
import io.engram4j.train.table.StepGradients;
import io.engram4j.train.table.TrainableTable;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/**
 * Teaches a model facts by changing rows alone: all other parameters stay, and the rows that
 * changed are a named set, which any engine that runs the model's tables puts on and takes off
 * again ({@link io.engram4j.table.RowOverlay}). For one thread at a time.
 */
public final class Teacher {
  /** Steps from one look at what is known to the next. */
  private static final int CHECK = 4;

  private final Decoder decoder;
  private final Bpe bpe;
  private final Pass pass;
  private final Recall recall;
  private final float[] unused;

  /**
   * A fact: what follows a prompt.
   *
   * @param prompt such as {@code The capital of Peru is}
   * @param answer such as {@code Lima.}, which comes after a space
   */
  public record Fact(String prompt, String answer) {
    public Fact {
      if (prompt.isBlank() || answer.isBlank()) {
        throw new IllegalArgumentException(
            "a fact has a prompt and an answer, not \"" + prompt + "\" and \"" + answer + "\"");
      }
    }

    /**
     * Reads a line: prompt and answer parted by a tab, else the last word is the answer.
     *
     * @throws IllegalArgumentException if it has no two words
     */
    public static Fact parse(String line) {
      String text = line.strip();
      int cut = text.indexOf('\t') >= 0 ? text.indexOf('\t') : text.lastIndexOf(' ');
      if (cut < 0) {
        throw new IllegalArgumentException("\"" + line + "\" has no prompt and answer");
      }
      return new Fact(text.substring(0, cut).strip(), text.substring(cut + 1).strip());
    }
  }

  /**
   * What teaching did.
   *
   * @param taught the rows that changed, as they are now
   * @param before the same rows as they were
   * @param recallBefore share of the facts of which the whole answer was the most probable
   * @param recallAfter the same now
   * @param steps how many it took
   */
  public record Lesson(
      RowSet taught, RowSet before, double recallBefore, double recallAfter, int steps) {}

  /**
   * Teaches a decoder.
   *
   * @throws IllegalArgumentException if it has no Engram layers, or another vocabulary
   */
  public Teacher(Decoder decoder, Bpe bpe) {
    if (!decoder.memory().isThere()) {
      throw new IllegalArgumentException("the decoder has no rows to teach by");
    }
    if (bpe.size() != decoder.shape().vocabulary()) {
      throw new IllegalArgumentException(
          "the tokenizer has " + bpe.size() + " ids, the decoder " + decoder.shape().vocabulary());
    }
    this.decoder = decoder;
    this.bpe = bpe;
    this.pass = decoder.newPass(decoder.shape().context());
    this.recall = new Recall(decoder, bpe);
    this.unused = new float[decoder.parameters().size()];
  }

  /**
   * Teaches facts, until all are known. Only answers are learned, and only rows that the facts
   * themselves look up change.
   *
   * @param name of the row set
   * @param steps at most, of one context each
   * @param rate of the rows
   * @param others texts that are to stay as well known as they are, of which a sequence pulls at
   *     the same rows with each step; or null
   * @param done told of each step
   * @throws IllegalArgumentException if there are no facts, or one is longer than the context
   * @throws ArithmeticException if a loss is not a number; the rows are as the step before left
   *     them
   */
  public Lesson teach(
      String name,
      List<Fact> facts,
      int steps,
      float rate,
      @Nullable Sequences others,
      IntConsumer done) {
    if (steps < 0 || !(rate > 0 && rate < Float.POSITIVE_INFINITY)) {
      throw new IllegalArgumentException(steps + " steps at rate " + rate);
    }
    int context = decoder.shape().context();
    if (facts.isEmpty()) {
      throw new IllegalArgumentException("there are no facts to teach");
    }
    List<Batch> data =
        PackedQuestions.of(
                bpe,
                facts.stream().map(Fact::prompt).toList(),
                facts.stream().map(Fact::answer).toList(),
                1,
                context)
            .batches();
    double recall = recall(facts);
    int columns = decoder.memory().config().columns();
    List<StepGradients> rows = new ArrayList<>();
    for (TrainableTable table : decoder.tables()) {
      rows.add(new StepGradients(2 * context, columns, table.shape().width()));
    }
    List<Map<Long, float[]>> before = new ArrayList<>();
    decoder.tables().forEach(table -> before.add(new LinkedHashMap<>()));
    int step = 0;
    // what goes on after all is known costs other texts
    for (; step < steps && (step % CHECK != 0 || recall(facts) < 1); step++) {
      rows.forEach(StepGradients::clear);
      learn(data.get(step % data.size()), rows, 0, step);
      if (others != null) {
        learn(others.batch(step, 1), rows, context, step);
      }
      for (int layer = 0; layer < rows.size(); layer++) {
        change(layer, rows.get(layer), before.get(layer), rate, step);
      }
      done.accept(step);
    }
    return new Lesson(
        set(name, before, false), set(name, before, true), recall, recall(facts), step);
  }

  private void learn(Batch batch, List<StepGradients> rows, int first, int step) {
    double loss = pass.forward(batch);
    if (!Double.isFinite(loss)) {
      throw new ArithmeticException("the loss of step " + step + " is " + loss);
    }
    // the other parameters' gradients go nowhere
    pass.backward(batch, 1f / Math.max(1, batch.targetCount()), unused, rows, first);
  }

  private void change(
      int layer, StepGradients rows, Map<Long, float[]> before, float rate, int step) {
    int context = decoder.shape().context();
    TrainableTable table = decoder.tables().get(layer);
    for (int column = 0; column < rows.columns(); column++) {
      // other texts pull at the rows of facts, but change none of their own
      rows.addUp(column, context);
      for (int i = 0; i < rows.sums(column).size(); i++) {
        before.computeIfAbsent(rows.sums(column).row(i), id -> values(table, id));
      }
      rows.sums(column).apply(table.writer(column), 1, rate, step);
    }
  }

  private static float[] values(TrainableTable table, long id) {
    float[] values = new float[table.shape().width()];
    table.read(id, values, 0);
    return values;
  }

  private RowSet set(String name, List<Map<Long, float[]>> before, boolean asTheyWere) {
    List<RowSet.Row> rows = new ArrayList<>();
    for (int layer = 0; layer < before.size(); layer++) {
      int id = decoder.memory().config().layerIds().get(layer);
      TrainableTable table = decoder.tables().get(layer);
      before
          .get(layer)
          .forEach((row, values) ->
              rows.add(new RowSet.Row(id, row, asTheyWere ? values : values(table, row))));
    }
    return new RowSet(name, rows);
  }

  /**
   * Puts rows of a set into the decoder's tables, such as those of {@link Lesson#before}, which
   * takes a lesson back.
   *
   * @throws IllegalArgumentException if a row is of no Engram layer
   */
  public void put(RowSet set) {
    List<Integer> layers = decoder.memory().config().layerIds();
    for (RowSet.Row row : set.rows()) {
      int layer = layers.indexOf(row.layerId());
      if (layer < 0) {
        throw new IllegalArgumentException(
            "row set "
                + set.name()
                + " has a row of layer "
                + row.layerId()
                + ", not of "
                + layers);
      }
      decoder.tables().get(layer).set(row.rowId(), row.values(), 0);
    }
  }

  /** Returns the share of facts of which each token of the answer is the most probable one. */
  public double recall(List<Fact> facts) {
    List<String> prompts = facts.stream().map(Fact::prompt).toList();
    List<String> answers = facts.stream().map(Fact::answer).toList();
    return Recall.share(recall.ask(prompts, answers, true));
  }
}
