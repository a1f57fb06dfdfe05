package io.engram4j.cli;

import io.engram4j.train.Evaluation;
import io.engram4j.train.Teacher;
import io.engram4j.train.corpus.Probes;
import io.engram4j.train.data.Bpe;
import io.engram4j.train.data.PackedDocuments;
import io.engram4j.train.data.Sequences;
import io.engram4j.train.files.DecoderDirectory;
import io.engram4j.train.model.Batch;
import io.engram4j.train.model.Decoder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Teaches a model facts by rows alone. */
@Command(
    name = "teach",
    header = "Teach a model facts by changing rows of its tables alone.",
    description =
        "Everything else stays. The rows that changed are a named set, which any engine that runs"
            + " the model's tables puts on and takes off again (docs/training.md).")
final class TeachCommand implements Callable<Integer> {
  @Mixin Output output = new Output();

  @Parameters(index = "0", paramLabel = "DIR", description = "A model that engram train wrote.")
  Path directory = Path.of("");

  @Option(
      names = "--file",
      paramLabel = "FILE",
      description =
          "Facts, a line each: prompt and answer parted by a tab, or else the last word is the"
              + " answer; - for standard input.")
  @Nullable Path file;

  @Option(names = "--text", paramLabel = "T", description = "A fact itself; can be given again.")
  List<String> texts = List.of();

  @Option(
      names = "--others",
      paramLabel = "FILE",
      description =
          "Text that is to stay as well known, learned beside the facts (default: half of what was"
              + " held out from training).")
  @Nullable Path others;

  @Option(names = "--name", paramLabel = "NAME", description = "Of the row set.")
  String name = "taught";

  @Option(names = "--out", paramLabel = "FILE", description = "Write the row set here.")
  @Nullable Path out;

  @Option(
      names = "--undo",
      paramLabel = "FILE",
      description = "Write the same rows here as they were before.")
  @Nullable Path undo;

  @Option(
      names = "--steps",
      paramLabel = "N",
      defaultValue = "200",
      description = "At most (default ${DEFAULT-VALUE}); it ends when all is known.")
  int steps;

  @Option(
      names = "--rate",
      paramLabel = "R",
      defaultValue = "0.05",
      description = "Learning rate of the rows (default ${DEFAULT-VALUE}).")
  float rate;

  @Override
  public Integer call() throws IOException {
    List<Teacher.Fact> facts = facts();
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("model", directory.toString());
    json.put("facts", facts.size());
    try (Decoder decoder = DecoderDirectory.read(directory)) {
      Bpe bpe = Bpe.read(directory.resolve("tokenizer.json"));
      Batch held = null;
      if (Files.exists(directory.resolve(Probes.NAME))) {
        held = Probes.read(directory).batch(true);
      }
      Batch measured =
          held == null
              ? null
              : held.part(held.sequences() / 2, held.sequences() - held.sequences() / 2);
      Double before = measured == null ? null : Evaluation.of(decoder, measured).loss();
      Teacher teacher = new Teacher(decoder, bpe);
      long began = System.nanoTime();
      Teacher.Lesson lesson;
      try (Progress progress = new Progress("teaching", steps, " steps", 1)) {
        lesson =
            teacher.teach(
                name, facts, steps, rate, beside(bpe, held, decoder), step -> progress.step(1));
      }
      double seconds = (System.nanoTime() - began) / 1e9;
      json.put("recall_before", lesson.recallBefore());
      json.put("recall_after", lesson.recallAfter());
      json.put("steps", lesson.steps());
      json.put("seconds", seconds);
      json.put("rows", lesson.taught().rows().size());
      output.line(
          "%d facts: recall %.2f before, %.2f after %d steps (%.1f s)",
          facts.size(), lesson.recallBefore(), lesson.recallAfter(), lesson.steps(), seconds);
      output.line("%s rows changed, nothing else", Text.count(lesson.taught().rows().size()));
      if (measured != null && before != null) {
        double cost = Evaluation.of(decoder, measured).loss() - before;
        json.put("cost", cost);
        output.line("loss on other text: %+.4f nats", cost);
      }
      if (out != null) {
        lesson.taught().save(out);
        json.put("out", out.toString());
        output.line("row set %s written to %s", name, out);
      }
      if (undo != null) {
        lesson.before().save(undo);
        json.put("undo", undo.toString());
      }
      output.json(json);
      return lesson.recallAfter() < 1 ? Main.FAILED : 0;
    }
  }

  private List<Teacher.Fact> facts() throws IOException {
    List<String> lines = new ArrayList<>();
    if (file != null) {
      lines.addAll(TextInput.readFile(file).lines().toList());
    }
    for (String text : texts) {
      lines.addAll(TextInput.readText(text).lines().toList());
    }
    List<Teacher.Fact> facts =
        lines.stream().filter(line -> !line.isBlank()).map(Teacher.Fact::parse).toList();
    if (facts.isEmpty()) {
      throw new IllegalArgumentException("give facts to teach: --file FILE, or --text T");
    }
    return facts;
  }

  private @Nullable Sequences beside(Bpe bpe, @Nullable Batch held, Decoder decoder)
      throws IOException {
    if (others != null) {
      int[] ids = bpe.encode(TextInput.readFile(others));
      return new PackedDocuments("others", List.of(ids), decoder.shape().context(), 1);
    }
    return held == null ? null : Sequences.of(held.part(0, Math.max(1, held.sequences() / 2)));
  }
}
