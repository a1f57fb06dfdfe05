package io.engram4j.cli;

import io.engram4j.train.Generator;
import io.engram4j.train.Teacher;
import io.engram4j.train.analysis.Gates;
import io.engram4j.train.corpus.Probes;
import io.engram4j.train.corpus.Question;
import io.engram4j.train.data.Bpe;
import io.engram4j.train.data.Sequences;
import io.engram4j.train.files.DecoderDirectory;
import io.engram4j.train.model.Batch;
import io.engram4j.train.model.Decoder;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** What the shipped model knows: with its memory, without, and after it was taught something. */
final class ShippedDemo implements AutoCloseable {
  private static final int WORDS = 18; // tokens generated
  private static final int FACTS = 9; // shown
  private static final int STEPS = 100;
  private static final float RATE = 0.05f;
  private static final List<String> PROMPTS =
      List.of("And the LORD spake unto", "The white whale", "a person who");
  private static final String SENTENCE =
      "And Moses went up from the plains of Moab unto the mountain of Nebo, and the captain of the"
          + " Pequod sailed from Nantucket.";

  private final Output output;
  private final Decoder decoder;
  private final Bpe bpe;
  private final Probes probes;
  private final Generator generator;

  ShippedDemo(Output output, Path directory) throws IOException {
    this.output = output;
    this.bpe = Bpe.read(directory.resolve("tokenizer.json"));
    this.probes = Probes.read(directory);
    this.decoder = DecoderDirectory.read(directory);
    this.generator = new Generator(decoder);
  }

  /** Shows all, and returns it. */
  Map<String, Object> show(String taught) {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("generated", generate());
    json.put("facts", facts());
    gates();
    json.put("taught", teach(Teacher.Fact.parse(taught)));
    return json;
  }

  private String next(String prompt, int tokens, boolean memory) {
    int[] ids = generator.generate(bpe.encode(prompt), tokens, Bpe.END, memory);
    return bpe.decode(ids).strip();
  }

  private List<Map<String, Object>> generate() {
    output.line("It goes on with a text, with its memory and without:");
    List<Map<String, Object>> all = new ArrayList<>();
    for (String prompt : PROMPTS) {
      String on = next(prompt, WORDS, true);
      String off = next(prompt, WORDS, false);
      output.line("   %s ...", Text.quoted(prompt));
      output.line("      on   %s", Text.quoted(on));
      output.line("      off  %s", Text.quoted(off));
      all.add(Map.of("prompt", prompt, "on", on, "off", off));
    }
    return all;
  }

  /** Questions that are equally far apart, so that nobody chose them. */
  private List<Map<String, Object>> facts() {
    output.line("");
    output.line("Facts of WordNet, in a phrasing that was never trained:");
    List<Question> questions = probes.asked();
    List<List<String>> rows = new ArrayList<>();
    List<Map<String, Object>> all = new ArrayList<>();
    for (int i = 0; i < Math.min(FACTS, questions.size()); i++) {
      Question question = questions.get((int) ((i + 0.5) * questions.size() / FACTS));
      int tokens = bpe.encode(" " + question.answer()).length;
      String on = next(question.prompt(), tokens, true);
      String off = next(question.prompt(), tokens, false);
      rows.add(List.of(question.prompt(), question.answer(), on, off));
      all.add(
          Map.of("prompt", question.prompt(), "answer", question.answer(), "on", on, "off", off));
    }
    output.table(List.of("prompt", "answer", "memory on", "off"), rows);
    return all;
  }

  private void gates() {
    int[] ids = bpe.encode(SENTENCE);
    boolean[] live = new boolean[ids.length];
    Arrays.fill(live, true);
    int[] none = new int[ids.length];
    Arrays.fill(none, -1);
    Batch batch = new Batch(1, ids.length, ids, none, new int[ids.length], live);
    double[][] gates = Gates.gates(decoder, batch);
    output.line("");
    output.line("How much of its memory each token lets in:");
    for (int layer = 0; layer < gates.length; layer++) {
      double low = Arrays.stream(gates[layer]).min().orElse(0);
      double high = Arrays.stream(gates[layer]).max().orElse(1);
      output.painted(
          String.format(
              Locale.ROOT,
              "   layer %d, %s from %.2f to %.2f",
              decoder.memory().config().layerIds().get(layer),
              GateStrip.legend(),
              low,
              high));
      output.painted(GateStrip.paint(Text.pieces(bpe, ids), gates[layer], low, high));
    }
  }

  private Map<String, Object> teach(Teacher.Fact fact) {
    int tokens = bpe.encode(" " + fact.answer()).length;
    String before = next(fact.prompt(), tokens, true);
    Teacher teacher = new Teacher(decoder, bpe);
    Batch held = probes.batch(true);
    long began = System.nanoTime();
    Teacher.Lesson lesson;
    try (Progress progress = new Progress("teaching", STEPS, " steps", 1)) {
      lesson =
          teacher.teach(
              "demo",
              List.of(fact),
              STEPS,
              RATE,
              Sequences.of(held.part(0, held.sequences() / 2)),
              step -> progress.step(1));
    }
    double seconds = (System.nanoTime() - began) / 1e9;
    String after = next(fact.prompt(), tokens, true);
    int rows = lesson.taught().rows().size();
    output.line("");
    output.line("Taught one fact by rows alone, in %.1f s and %,d rows:", seconds, rows);
    output.line("   before  %s %s", fact.prompt(), Text.quoted(before));
    output.line("   after   %s %s", fact.prompt(), Text.quoted(after));
    return Map.of(
        "prompt",
        fact.prompt(),
        "before",
        before,
        "after",
        after,
        "rows",
        rows,
        "seconds",
        seconds);
  }

  @Override
  public void close() {
    decoder.close();
  }
}
