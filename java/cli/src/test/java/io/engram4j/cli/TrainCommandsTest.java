package io.engram4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.stream.Stream;
import java.util.zip.GZIPInputStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** train, teach and analyze, as people run them, on a novel. */
class TrainCommandsTest {
  private static final String[] SMALL = {
    "--steps",
    "40",
    "--vocabulary",
    "600",
    "--width",
    "32",
    "--layers",
    "4",
    "--rows",
    "500",
    "--json"
  };

  @TempDir static Path directory;

  private static Path model;

  private static Cli.Result run(String... arguments) throws IOException {
    return Cli.run(Map.of("JDK_JAVA_OPTIONS", "--add-modules=jdk.incubator.vector"), "", arguments);
  }

  private static String[] with(String[] options, String... command) {
    return Stream.concat(Arrays.stream(command), Arrays.stream(options)).toArray(String[]::new);
  }

  @BeforeAll
  static void train() throws IOException {
    Path packed = Path.of("../train/src/test/resources/io/engram4j/train/moby-dick.txt.gz");
    try (InputStream in = new GZIPInputStream(Files.newInputStream(packed))) {
      Files.write(directory.resolve("novel.txt"), in.readAllBytes());
    }
    model = directory.resolve("model");
    String novel = directory.resolve("novel.txt").toString();
    Cli.Result result = run(with(SMALL, "train", model.toString(), novel));
    assertEquals(0, result.exit(), result.err());
    JsonNode json = new ObjectMapper().readTree(result.out());
    JsonFieldsTest.assertDocumented("train", result.out());
    assertEquals(40, json.path("steps").asInt());
    assertTrue(json.path("losses").get(0).asDouble() < 6.2, result.out());
    assertFalse(Files.exists(model.resolve("training")), "checkpoints are left");
  }

  @Test
  void aTrainedModelIsOneLikeAnyOther() throws IOException {
    Cli.Result inspect = run("inspect", model.toString());
    assertEquals(0, inspect.exit(), inspect.err());
    Cli.Result ran = run("run", model.toString(), "--text", "Call me Ishmael.");
    assertEquals(0, ran.exit(), ran.err());
    Cli.Result again = run("train", model.toString(), directory.resolve("novel.txt").toString());
    assertEquals(2, again.exit());
    assertTrue(again.err().contains("trained model already"), again.err());
  }

  @Test
  void anAnalysisIsAPageThatABrowserShows() throws IOException {
    Path page = directory.resolve("page.html");
    Path files = directory.resolve("files");
    Cli.Result result =
        run(
            "analyze",
            model.toString(),
            "--html",
            page.toString(),
            "--files",
            files.toString(),
            "--json");
    assertEquals(0, result.exit(), result.err());
    JsonNode json = new ObjectMapper().readTree(result.out());
    JsonFieldsTest.assertDocumented("analyze", result.out());
    assertTrue(json.path("loss_on").asDouble() < json.path("loss_off").asDouble(), result.out());
    assertTrue(json.path("teach_recall").isNumber(), result.out());
    assertTrue(json.path("teaching").path("rows").asInt() > 100, result.out());
    String text = Files.readString(page);
    for (String part : new String[] {"ablation", "gates", "logit-lens", "hit-rates"}) {
      assertTrue(text.contains("<section id=\"" + part), part);
    }
    for (String fetching : new String[] {"src=", "<link", "<script", "url(", "@import"}) {
      assertFalse(text.contains(fetching), "the page fetches something: " + fetching);
    }
    String csv = Files.readString(files.resolve("ablation.csv"));
    assertTrue(csv.startsWith("kind,memory on,memory off,guess\n\"names ("), csv);
    assertTrue(Files.readString(files.resolve("ablation.svg")).startsWith("<svg"));
    String dom = Browser.dom(page);
    assertTrue(
        dom.contains("What the Engram memory of"), dom.substring(0, Math.min(500, dom.length())));
    // what a browser made of it: pictures are elements of their own, nothing was torn apart
    assertEquals(7, dom.split("<section ", -1).length - 1);
    assertEquals(5, dom.split("<svg ", -1).length - 1);
    assertTrue(Browser.colours(page) > 20, "the page looks empty");
  }

  @Test
  void factsAreTaughtByRowsAlone() throws IOException {
    Path rows = directory.resolve("harbour.rows");
    Cli.Result result =
        run(
            "teach",
            model.toString(),
            "--text",
            "The harbour master of Lima is Ahab.",
            "--out",
            rows.toString(),
            "--undo",
            directory.resolve("before.rows").toString(),
            "--json");
    JsonNode json = new ObjectMapper().readTree(result.out());
    assertEquals(json.path("recall_after").asDouble() == 1 ? 0 : 1, result.exit(), result.err());
    assertEquals(1, json.path("recall_after").asDouble(), result.out());
    JsonFieldsTest.assertDocumented("teach", result.out());
    assertTrue(json.path("rows").asInt() > 10, result.out());
    assertTrue(Files.size(rows) > 1000);
    Cli.Result none = run("teach", model.toString());
    assertEquals(2, none.exit());
    assertTrue(none.err().contains("give facts"), none.err());
    Cli.Result damaged = run("teach", directory.toString(), "--text", "a b");
    assertEquals(2, damaged.exit());
    assertTrue(damaged.err().contains("decoder.json"), damaged.err());
  }

  @Test
  void aSuiteIsComparedOnOnePage() throws IOException {
    Path suite = directory.resolve("suite");
    String novel = directory.resolve("novel.txt").toString();
    Cli.Result unknown = run("train", suite.toString(), novel, "--suite", "other");
    assertEquals(2, unknown.exit());
    assertTrue(unknown.err().contains("there is paper"), unknown.err());
    String[] options = {"--suite", "paper", "--quick", "--steps", "3", "--json"};
    Cli.Result result = run(with(options, "train", suite.toString(), novel));
    assertEquals(0, result.exit(), result.err());
    JsonFieldsTest.assertDocumented("train", result.out());
    JsonNode runs = new ObjectMapper().readTree(result.out()).path("runs");
    assertEquals(9, runs.size(), result.out());
    // what is compared costs alike: a token's weights, or all parameters of a split
    assertEquals(used(runs, "dense"), used(runs, "engram"), 0.05 * used(runs, "dense"));
    assertEquals(used(runs, "engram"), used(runs, "one-row"));
    double all = all(runs, "split-16");
    assertEquals(all, all(runs, "split-8"), 0.03 * all);
    assertEquals(all, all(runs, "split-1"), 0.03 * all);
    Path page = directory.resolve("suite.html");
    Cli.Result analysis = run("analyze", suite.toString(), "--html", page.toString(), "--json");
    assertEquals(0, analysis.exit(), analysis.err());
    JsonNode json = new ObjectMapper().readTree(analysis.out());
    JsonFieldsTest.assertDocumented("analyze", analysis.out());
    assertTrue(json.path("loss_dense").asDouble() > 1, analysis.out());
    assertTrue(json.path("loss_engram").asDouble() > 1, analysis.out());
    String text = Files.readString(page);
    for (String part : new String[] {"table-size", "split", "likeness", "logit-lens"}) {
      assertTrue(text.contains("<section id=\"" + part + "\""), part);
    }
    // runs that are not comparable are not mixed
    String[] longer = {"--suite", "paper", "--quick", "--steps", "4"};
    Cli.Result mixed = run(with(longer, "train", suite.toString(), novel));
    assertEquals(2, mixed.exit());
    assertTrue(mixed.err().contains("3 steps") && mixed.err().contains("4 steps"), mixed.err());
    Cli.Result other =
        run("analyze", model.toString(), "--dense", suite.resolve("dense").toString());
    assertEquals(2, other.exit());
    assertTrue(other.err().contains("different tokenizers"), other.err());
    // done already: nothing is trained again
    long began = System.nanoTime();
    assertEquals(0, run(with(options, "train", suite.toString(), novel)).exit());
    assertTrue(System.nanoTime() - began < 60_000_000_000L);
  }

  private static JsonNode run(JsonNode runs, String name) {
    for (JsonNode run : runs) {
      if (run.path("name").asText().equals(name)) {
        return run;
      }
    }
    throw new AssertionError("no run " + name + " in " + runs);
  }

  private static double used(JsonNode runs, String name) {
    return run(runs, name).path("used").asDouble();
  }

  private static double all(JsonNode runs, String name) {
    JsonNode run = run(runs, name);
    return run.path("weights").asDouble() + run.path("table_parameters").asDouble();
  }
}
