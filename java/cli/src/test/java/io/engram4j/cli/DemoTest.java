package io.engram4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The demo, as people run it. */
class DemoTest {
  @TempDir private Path directory;

  private static JsonNode json(String... arguments) throws IOException {
    Cli.Result result = Cli.run(arguments);
    assertEquals(0, result.exit(), result.err());
    return new ObjectMapper().readTree(result.out());
  }

  @Test
  void theShippedModelIsOneLikeAnyOther() throws IOException {
    JsonNode where = json("demo", "--where", "--json", "--cache", directory.toString());
    Path shipped = Path.of(where.get("shipped").asText());
    Cli.Result plain = Cli.run("demo", "--where", "--cache", directory.toString());
    assertEquals(shipped.toString(), plain.out().strip());
    assertEquals(0, Cli.run("inspect", shipped.toString()).exit());
    Cli.Result run = Cli.run("run", shipped.toString(), "--text", "And Moses went up.");
    assertEquals(0, run.exit(), run.err());
    assertTrue(Files.readString(shipped.resolve("README.md")).contains("WordNet"));
    // damaged, it is put there anew
    Files.writeString(shipped.resolve("tokenizer.json"), "{}");
    assertEquals(0, Cli.run("demo", "--where", "--cache", directory.toString()).exit());
    assertTrue(Files.size(shipped.resolve("tokenizer.json")) > 10_000);
  }

  @Test
  void demoIsMadeOnceAndWhole() throws IOException {
    Path cache = directory.resolve("cache with spaces é");
    JsonNode first = json("demo", "--json", "--cache", cache.toString());
    assertEquals(199_998, first.get("vocabulary").asInt());
    for (JsonNode backend : first.get("backends")) {
      assertTrue(backend.get("agrees").asBoolean(), backend.toString());
    }
    JsonNode knows = first.get("knows");
    assertEquals(9, knows.get("facts").size());
    int known = 0;
    int without = 0;
    for (JsonNode fact : knows.get("facts")) {
      known += fact.get("on").asText().equals(fact.get("answer").asText()) ? 1 : 0;
      without += fact.get("off").asText().equals(fact.get("answer").asText()) ? 1 : 0;
    }
    assertTrue(known > without, knows.toString());
    assertEquals("a composer.", knows.get("taught").get("after").asText(), knows.toString());
    assertNotEquals("a composer.", knows.get("taught").get("before").asText());
    JsonNode second = json("demo", "--json", "--cache", cache.toString());
    assertEquals(
        first.get("backends").get(0).get("digest"), second.get("backends").get(0).get("digest"));
    try (Stream<Path> files = Files.list(cache)) {
      List<String> names = files.map(f -> f.getFileName().toString()).sorted().toList();
      assertEquals(2, names.size(), names.toString());
      assertEquals("demo-v41-2", names.getFirst());
      assertTrue(names.getLast().startsWith("shipped-"), names.toString());
    }
    Cli.Result inspect = Cli.run("inspect", cache.resolve("demo-v41-2").toString());
    assertEquals(0, inspect.exit(), inspect.out());
  }

  @Test
  void aFullDiskLeavesNoHalfModel() throws IOException {
    Path cache = directory.resolve("cache");
    // a file size limit fails a write in the middle, as a full disk does
    Cli.Result result = Cli.run(Map.of(), "ulimit -f 20000", "demo", "--cache", cache.toString());
    assertEquals(2, result.exit(), result.toString());
    assertTrue(result.err().startsWith("error: "), result.err());
    assertEquals(1, result.err().strip().lines().count(), result.err());
    try (Stream<Path> files = Files.list(cache)) {
      List<Path> left = files.toList();
      assertEquals(1, left.size(), left.toString());
      assertTrue(left.getFirst().getFileName().toString().startsWith("shipped-"));
    }
  }

  @Test
  void aCacheThatCannotBeWritten() throws IOException {
    Path file = Files.writeString(directory.resolve("file"), "x", StandardCharsets.UTF_8);
    for (Path cache : List.of(file, file.resolve("below"), Path.of("/proc/no"))) {
      Cli.Result result = Cli.run(Map.of("ENGRAM_CACHE", cache.toString()), "", "demo");
      assertEquals(2, result.exit(), result.toString());
      assertTrue(result.err().startsWith("error: the cache directory"), result.err());
    }
  }
}
