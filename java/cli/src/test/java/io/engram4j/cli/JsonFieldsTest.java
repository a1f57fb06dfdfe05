package io.engram4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.engram4j.tck.Golden;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Every field that a command prints is documented, in one spelling. */
class JsonFieldsTest {
  /** Maps whose keys are layers and stages. */
  private static final Set<String> KEYED = Set.of("rows", "stages");

  @TempDir static Path directory;

  @BeforeAll
  static void extract() throws IOException {
    Golden.extract(directory);
  }

  /** The rows of the page about a command. */
  private static String documented(String command) throws IOException {
    StringBuilder rows = new StringBuilder();
    boolean own = false;
    for (String line : Files.readAllLines(Path.of("../../docs/json.md"))) {
      own = line.startsWith("| `" + command + "`") || (own && line.startsWith("| |"));
      rows.append(own ? line : "");
    }
    return rows.toString();
  }

  private static void fields(JsonNode node, boolean keyed, Set<String> into) {
    if (node.isArray()) {
      node.forEach(each -> fields(each, false, into));
    }
    for (Map.Entry<String, JsonNode> field : node.properties()) {
      if (!keyed) {
        into.add(field.getKey());
      }
      boolean below = KEYED.contains(field.getKey()) && field.getValue().isObject();
      fields(field.getValue(), below, into);
    }
  }

  static Stream<Arguments> commands() {
    return Stream.of(
        Arguments.of("inspect", List.of("MODEL")),
        Arguments.of("map", List.of("MODEL/tokenizer.json", "--out", "WORK/map.bin")),
        Arguments.of("hash", List.of("MODEL", "--text", "The")),
        Arguments.of(
            "run",
            List.of("MODEL", "--text", "the best", "--memo-mb", "9", "--gates", "WORK/g.html")),
        Arguments.of("pack", List.of("MODEL", "WORK/packed", "--verify")),
        Arguments.of("plan", List.of("MODEL")),
        Arguments.of(
            "profile",
            List.of(
                "MODEL",
                "--file",
                "MODEL/config.json",
                "--seed",
                "WORK/s",
                "--ngram-seed",
                "WORK/n",
                "--svg",
                "WORK/s.svg")),
        Arguments.of("verify", List.of("MODEL")),
        Arguments.of("doctor", List.of("MODEL")),
        Arguments.of("demo", List.of("--cache", "WORK")));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("commands")
  void everyFieldIsDocumented(String command, List<String> rest) throws IOException {
    List<String> arguments = new ArrayList<>(List.of(command, "--json"));
    for (String each : rest) {
      arguments.add(
          each.replace("MODEL", directory.resolve("mini-v41").toString())
              .replace("WORK", directory.toString()));
    }
    Cli.Result result = Cli.run(arguments.toArray(String[]::new));
    assertEquals(0, result.exit(), result.err());
    assertDocumented(command, result.out());
  }

  /** Fails if a command printed a field that the page does not name. */
  static void assertDocumented(String command, String out) throws IOException {
    Set<String> printed = new TreeSet<>();
    fields(new ObjectMapper().readTree(out), false, printed);
    assertTrue(printed.size() > 3, "" + printed);
    String rows = documented(command);
    for (String field : printed) {
      assertTrue(field.matches("[a-z0-9]+(_[a-z0-9]+)*"), field);
      assertTrue(rows.contains("`" + field + "`"), command + " prints " + field);
    }
  }

  @Test
  void unitsAreNumbers() throws IOException {
    Cli.Result result = Cli.run("doctor", "--json");
    JsonNode json = new ObjectMapper().readTree(result.out());
    for (Map.Entry<String, JsonNode> field : json.properties()) {
      if (field.getKey().endsWith("_bytes")) {
        assertTrue(field.getValue().isNumber() || field.getValue().isNull(), "" + field);
      }
    }
  }
}
