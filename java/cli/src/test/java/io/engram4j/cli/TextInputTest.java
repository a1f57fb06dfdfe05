package io.engram4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
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
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A text is given by itself, by a file or by standard input, in the same way to each command. */
class TextInputTest {
  private static final String TEXT = "Only THE best";

  @TempDir static Path golden;
  @TempDir Path directory;

  @BeforeAll
  static void extract() throws IOException {
    Golden.extract(golden);
  }

  private static String model() {
    return golden.resolve("mini-v41").toString();
  }

  /** Runs with the text as standard input. */
  private Cli.Result piped(String... arguments) throws IOException {
    Path input = Files.writeString(directory.resolve("input.txt"), TEXT);
    return Cli.run(Map.of(), "exec <'" + input + "'", arguments);
  }

  /** The results of a command for a text in each of the four ways. */
  private List<JsonNode> all(String command) throws IOException {
    Path file = Files.writeString(directory.resolve("text.txt"), TEXT);
    List<Cli.Result> results =
        List.of(
            Cli.run(command, model(), "--json", "--text", TEXT),
            Cli.run(command, model(), "--json", "--file", file.toString()),
            piped(command, model(), "--json", "--text", "-"),
            piped(command, model(), "--json", "--file", "-"));
    List<JsonNode> nodes = new ArrayList<>();
    for (Cli.Result result : results) {
      assertEquals(0, result.exit(), result.err());
      assertEquals("", result.err());
      nodes.add(new ObjectMapper().readTree(result.out()));
    }
    return nodes;
  }

  @Test
  void everyWayGivesTheSameText() throws IOException {
    for (JsonNode hashed : all("hash")) {
      assertEquals("O", hashed.get("tokens").get(0).get("text").asText());
    }
    List<JsonNode> runs = all("run");
    for (JsonNode run : runs) {
      assertEquals(runs.getFirst().get("digest"), run.get("digest"));
      assertTrue(run.get("stages").get("tokenize").get("us_per_token").asDouble() > 0, "" + run);
    }
    for (JsonNode profile : all("profile")) {
      assertEquals(runs.getFirst().get("tokens"), profile.get("tokens"));
      assertEquals(1, profile.get("texts").asInt());
    }
  }

  @Test
  void aFileGivenAsTextIsTold() throws IOException {
    Path file = Files.writeString(directory.resolve("text.txt"), TEXT);
    Cli.Result text = Cli.run("hash", model(), "--text", file.toString());
    assertEquals(0, text.exit());
    assertTrue(text.err().startsWith("note: --text is the text itself"), text.err());
    assertTrue(text.err().contains(file + " use --file"), text.err());
    assertNotEquals(Cli.run("hash", model(), "--file", file.toString()).out(), text.out());
  }

  @Test
  void whatIsNoTextIsTold() throws IOException {
    byte[] binary = {'a', 'b', 0, (byte) 0xff, 3};
    Path file = Files.write(directory.resolve("x"), binary);
    Cli.Result result = Cli.run("run", model(), "--file", file.toString());
    assertEquals(2, result.exit());
    assertTrue(
        result.err().contains("is not UTF-8 text, from byte 3 on: it looks like a binary file"),
        result.err());
    Path link = Files.createSymbolicLink(directory.resolve("link"), Path.of("gone"));
    Cli.Result dangling = Cli.run("run", model(), "--file", link.toString());
    assertEquals(2, dangling.exit());
    assertTrue(dangling.err().contains("link, a link to gone, does not exist"), dangling.err());
  }
}
