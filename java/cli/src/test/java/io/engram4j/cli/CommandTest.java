package io.engram4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.engram4j.tck.Golden;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Every command as people run it: results, JSON, exit codes, and one line for each error. */
class CommandTest {
  @TempDir static Path golden;
  @TempDir Path directory;

  @BeforeAll
  static void extract() throws IOException {
    Golden.extract(golden);
  }

  private static String path(String name) {
    return golden.resolve(name).toString();
  }

  private static JsonNode json(String... arguments) throws IOException {
    Cli.Result result = Cli.run(arguments);
    assertEquals(0, result.exit(), result.err());
    assertEquals("", result.err());
    return new ObjectMapper().readTree(result.out());
  }

  @ParameterizedTest
  @ValueSource(strings = {"mini-v41", "mini-paper"})
  void inspect(String name) throws IOException {
    JsonNode json = json("inspect", path(name), "--json");
    assertTrue(json.get("passed").asBoolean());
    assertEquals(688, json.get("compressed").asInt());
    assertEquals(2, json.get("layers").size());
    long rows = name.equals("mini-v41") ? 11350 : 11584;
    assertEquals(rows, json.get("layers").get(0).get("rows").asLong());
    Cli.Result table = Cli.run("inspect", path(name));
    assertEquals(0, table.exit());
    assertTrue(table.out().contains("841 -> 688"), table.out());
  }

  @ParameterizedTest
  @ValueSource(strings = {"mini-v41", "mini-paper"})
  void verify(String name) throws IOException {
    JsonNode json = json("verify", path(name), "--backend", "all", "--json");
    assertTrue(json.get("passed").asBoolean());
    int backends = 0;
    for (JsonNode backend : json("doctor", "--json").get("backends")) {
      backends += backend.get("available").asBoolean() ? 1 : 0;
    }
    assertEquals(backends * (name.equals("mini-v41") ? 39 : 12), json.get("results").size());
    assertTrue(Cli.run("verify", path(name)).out().contains("all pass"));
  }

  @Test
  void verifyFailsWhereTheTruthDiffers() throws IOException {
    copy("mini-v41");
    Path truth = directory.resolve("expected-plain.safetensors");
    byte[] bytes = Files.readAllBytes(truth);
    bytes[bytes.length - 1] ^= 0x40; // the last bf16 of the output
    Files.write(truth, bytes);
    Cli.Result result = Cli.run("verify", directory.toString());
    assertEquals(1, result.exit(), result.err());
    assertTrue(result.out().contains("1 FAILED"), result.out());
    assertEquals("", result.err());
  }

  private void copy(String name) throws IOException {
    try (Stream<Path> files = Files.list(golden.resolve(name))) {
      for (Path file : files.toList()) {
        Files.copy(file, directory.resolve(file.getFileName()));
      }
    }
  }

  @Test
  void map() throws IOException {
    Path out = directory.resolve("map.bin");
    JsonNode json = json("map", path("mini-v41/tokenizer.json"), "--json", "--out", out.toString());
    assertEquals(841, json.get("vocabulary").asInt());
    assertEquals(688, json.get("compressed").asInt());
    assertEquals(64, json.get("map_sha256").asText().length());
    assertTrue(json.get("largest_groups").get(0).get("token_ids").size() > 5);
    JsonNode again = json("inspect", path("mini-v41"), "--map", out.toString(), "--json");
    assertEquals(json.get("map_sha256"), again.get("map_sha256"));
  }

  @Test
  void hash() throws IOException {
    JsonNode tokens = json("hash", path("mini-v41"), "--text", "Only THE", "--json").get("tokens");
    assertEquals(24, tokens.get(0).get("rows").get("14").size());
    assertEquals("O", tokens.get(0).get("text").asText());
    List<String> ids = new ArrayList<>();
    tokens.forEach(token -> ids.add(token.get("token_id").asText()));
    JsonNode same =
        json("hash", path("mini-v41"), "--ids", String.join(",", ids), "--json").get("tokens");
    assertEquals(tokens, same);
    JsonNode dead =
        json("hash", path("mini-v41"), "--ids", "1,2,3,4", "--dead", "1,2", "--json").get("tokens");
    assertTrue(dead.get(1).get("dead").asBoolean());
    assertFalse(dead.get(3).get("dead").asBoolean());
    assertEquals(dead.get(1).get("rows"), dead.get(2).get("rows"), "dead: nothing but padding");
  }

  @Test
  void runWithGates() throws IOException {
    Path text = Files.writeString(directory.resolve("text.txt"), "<script>The é 漢字</script>\n");
    Path page = directory.resolve("gates.html");
    String[] run = {
      "run",
      path("mini-v41"),
      "--file",
      text.toString(),
      "--json",
      "--repeat",
      "2",
      "--gates",
      page.toString()
    };
    JsonNode json = json(run);
    assertEquals(64, json.get("digest").asText().length());
    assertTrue(json.get("stages").get("project").get("tokens_per_s").asDouble() > 0);
    assertEquals(json.get("digest"), json(run).get("digest"), "the same run, the same output");
    String html = Files.readString(page);
    assertFalse(html.contains("<script>The"), "the text must not become part of the page");
    assertTrue(html.contains("\\u003cscript>") || html.contains("\\u003c"), html);
    assertFalse(html.contains("http"), "the page is self-contained");
    JsonNode one =
        json("run", path("mini-paper"), "--file", text.toString(), "--layers", "15", "--json");
    assertEquals("[15]", one.get("layers").toString());
  }

  @Test
  void doctor() throws IOException {
    JsonNode json = json("doctor", "--json");
    List<String> names = new ArrayList<>();
    for (JsonNode backend : json.get("backends")) {
      names.add(backend.get("name").asText());
      boolean available = backend.get("available").asBoolean();
      assertTrue(available || !backend.get("description").asText().isEmpty(), backend.toString());
      assertTrue(available || !names.getLast().equals("java"), backend.toString());
    }
    assertTrue(names.containsAll(List.of("java", "cuda")), names.toString());
    assertTrue(Cli.run("doctor").out().contains("largest heap"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "demo", "inspect", "map", "hash", "run", "pack", "plan", "profile", "train", "teach",
        "analyze", "verify", "doctor"
      })
  void everyCommandHasHelpAndJson(String command) throws IOException {
    Cli.Result result = Cli.run(command, "--help");
    assertEquals(0, result.exit());
    assertTrue(result.out().contains("--json"), result.out());
    assertTrue(result.out().contains("--debug"), result.out());
  }

  @Test
  void tablesFit80Columns() throws IOException {
    String[][] commands = {
      {"inspect", path("mini-v41")},
      {"inspect", path("mini-paper")},
      {"plan", path("mini-v41")},
      {"doctor", path("mini-v41")},
      {"map", path("mini-v41") + "/tokenizer.json"},
      {"profile", path("mini-v41"), "--text", "a b c d e f g"},
      {"verify", path("mini-v41")},
      {"run", path("mini-v41"), "--text", "a b c"}
    };
    int rules = 0;
    for (String[] command : commands) {
      for (String line : Cli.run(command).out().lines().toList()) {
        if (line.contains("──")) {
          assertTrue(line.codePointCount(0, line.length()) <= 80, line);
          rules++;
        }
      }
    }
    assertTrue(rules > 10, "tables: " + rules);
  }

  static Stream<Arguments> wrong() {
    return Stream.of(
        Arguments.of("no sources", List.of("bench", "--quick"), "source tree"),
        Arguments.of("no DIR", List.of("inspect"), "Missing required parameter: 'DIR'"),
        Arguments.of("unknown command", List.of("frobnicate"), "frobnicate"),
        Arguments.of("unknown option", List.of("doctor", "--frob"), "--frob"),
        Arguments.of("an option of java", List.of("-Dx=y", "doctor"), "ENGRAM_JAVA_OPTS='-Dx=y'"),
        Arguments.of("one behind", List.of("doctor", "-Xmx1g"), "ENGRAM_JAVA_OPTS='-Xmx1g'"),
        Arguments.of("a file to pack into", List.of("pack", "MODEL", "TEXT"), "TEXT is a file"),
        Arguments.of(
            "a text as file",
            List.of("run", "MODEL", "--file", "a b"),
            "a b does not exist; a text itself is given with --text"),
        Arguments.of(
            "text and file",
            List.of("run", "MODEL", "--file", "TEXT", "--text", "a"),
            "mutually exclusive"),
        Arguments.of("no text", List.of("run", "MODEL"), "(--text=T | --file=FILE)"),
        Arguments.of("nothing to count", List.of("profile", "MODEL"), "--file"),
        Arguments.of(
            "a GPU",
            List.of("run", "MODEL", "--text", "a", "--backend", "gpu"),
            "the command runs on the CPU"),
        Arguments.of(
            "no such directory",
            List.of("inspect", "/no/such"),
            "/no/such is not a model directory"),
        Arguments.of("no such tokenizer", List.of("map", "/no/such"), "/no/such does not exist"),
        Arguments.of("a directory as tokenizer", List.of("map", "/"), "/ is a directory"),
        Arguments.of("neither text nor ids", List.of("hash", "MODEL"), "--text"),
        Arguments.of(
            "text and ids",
            List.of("hash", "MODEL", "--text", "a", "--ids", "1"),
            "mutually exclusive"),
        Arguments.of("ids that are none", List.of("hash", "MODEL", "--ids", "1,x"), "--ids"),
        Arguments.of(
            "ids outside",
            List.of("hash", "MODEL", "--ids", "1,857"),
            "token id 857 is outside the vocabulary of 841 ids"),
        Arguments.of("negative ids", List.of("hash", "MODEL", "--ids=-2"), "token id -2"),
        Arguments.of(
            "dead outside",
            List.of("hash", "MODEL", "--ids", "1,2", "--dead", "2"),
            "--dead 2 is not a position of the 2 tokens"),
        Arguments.of(
            "no such text",
            List.of("run", "MODEL", "--file", "/no/such"),
            "/no/such does not exist"),
        Arguments.of(
            "a directory as text", List.of("run", "MODEL", "--file", "/"), "/ is a directory"),
        Arguments.of(
            "no such layer",
            List.of("run", "MODEL", "--file", "TEXT", "--layers", "2"),
            "layer 2 has no Engram; those that have are [1, 14]"),
        Arguments.of(
            "no such backend",
            List.of("run", "MODEL", "--file", "TEXT", "--backend", "x"),
            "x: unknown; there are ["),
        Arguments.of(
            "never repeated",
            List.of("run", "MODEL", "--file", "TEXT", "--repeat", "0"),
            "--repeat"),
        Arguments.of(
            "page cannot be written",
            List.of("run", "MODEL", "--file", "TEXT", "--gates", "/no/such/x.html"),
            "the folder /no/such for the page does not exist"),
        Arguments.of(
            "nothing to verify", List.of("verify", "EMPTY"), "has no expected-*.safetensors"));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("wrong")
  void badUsageAndInput(String name, List<String> arguments, String message) throws IOException {
    Path text = Files.writeString(directory.resolve("t.txt"), "text");
    Path empty = Files.createDirectories(directory.resolve("empty"));
    String[] real =
        arguments.stream()
            .map(a -> a.equals("MODEL") ? path("mini-v41") : a.equals("TEXT") ? text.toString() : a)
            .map(a -> a.equals("EMPTY") ? empty.toString() : a)
            .toArray(String[]::new);
    Cli.Result result = Cli.run(real);
    assertEquals(2, result.exit(), name + ": " + result);
    assertEquals("", result.out(), name);
    assertTrue(result.err().startsWith("error: "), result.err());
    assertEquals(1, result.err().strip().lines().count(), result.err());
    String expected = message.replace("TEXT", text.toString());
    assertTrue(result.err().contains(expected), result.err());
    Cli.Result debug =
        Cli.run(Stream.concat(Stream.of(real), Stream.of("--debug")).toArray(String[]::new));
    assertEquals(2, debug.exit());
  }

  @Test
  void textThatIsNoUtf8() throws IOException {
    Path text =
        Files.write(
            directory.resolve("t.txt"), new byte[] {'a', (byte) 0xed, (byte) 0xa0, (byte) 0x80});
    Cli.Result result = Cli.run("run", path("mini-v41"), "--file", text.toString());
    assertEquals(2, result.exit());
    assertTrue(result.err().contains("is not UTF-8 text"), result.err());
  }

  @Test
  void verifyRefusesTruthOfOtherLayers() throws IOException {
    copy("mini-v41");
    for (String layer : List.of("layers.1.", "layers.14.")) {
      Path truth = directory.resolve("expected-plain.safetensors");
      String text = Files.readString(truth, StandardCharsets.ISO_8859_1);
      // the same length, so that the header stays whole
      String other = layer.equals("layers.1.") ? "layers.2." : "layers.15.";
      Files.writeString(truth, text.replace(layer, other), StandardCharsets.ISO_8859_1);
      Cli.Result result = Cli.run("verify", directory.toString());
      assertEquals(2, result.exit(), result.out());
      assertTrue(result.err().contains("layers [1, 14]"), result.err());
    }
  }

  @Test
  void textIsTakenAsItStands() throws IOException {
    for (String text : List.of("@name", "-h", "--json")) {
      JsonNode tokens = json("hash", path("mini-v41"), "--json", "--text", text).get("tokens");
      StringBuilder shown = new StringBuilder();
      tokens.forEach(token -> shown.append(token.get("text").asText()));
      assertEquals(text, shown.toString());
    }
  }

  @Test
  void pipesAndDevicesAreRefused() throws IOException {
    copy("mini-v41");
    for (String name : List.of("config.json", "tokenizer.json", "model.safetensors.index.json")) {
      Path file = directory.resolve(name);
      byte[] good = Files.readAllBytes(file);
      Files.delete(file);
      Files.createSymbolicLink(file, Path.of("/dev/zero"));
      Cli.Result result =
          Cli.run("run", directory.toString(), "--file", path("mini-v41/config.json"));
      assertEquals(2, result.exit());
      assertTrue(result.err().contains("is not a regular file"), result.err());
      Files.delete(file);
      Files.write(file, good);
    }
    Cli.Result text = Cli.run("run", directory.toString(), "--file", "/dev/zero");
    assertEquals(2, text.exit());
    assertTrue(text.err().contains("/dev/zero is not a regular file"), text.err());
    Cli.Result out = Cli.run("map", path("mini-v41/tokenizer.json"), "--out", "/dev/null");
    assertEquals(2, out.exit());
  }

  @Test
  void aFullHeapIsOneErrorLine() throws IOException {
    Path text = directory.resolve("large.txt");
    Files.write(text, new byte[40 << 20]);
    Cli.Result result =
        Cli.run(
            Map.of("JAVA_TOOL_OPTIONS", "-Xmx24m"),
            "",
            "run",
            path("mini-v41"),
            "--file",
            text.toString());
    assertEquals(2, result.exit(), result.toString());
    assertTrue(result.err().contains("error: out of memory"), result.err());
    assertTrue(result.err().contains("ENGRAM_JAVA_OPTS"), result.err());
  }

  @Test
  void outputThatCannotBeWrittenIsAnError() throws IOException {
    Cli.Result result = Cli.run(Map.of(), "exec >/dev/full", "inspect", path("mini-v41"), "--json");
    assertEquals(2, result.exit());
    assertTrue(result.err().contains("could not be written"), result.err());
  }

  @Test
  void failedChecksExitWith1() throws IOException {
    copy("mini-v41");
    Files.delete(directory.resolve("model-00002-of-00002.safetensors"));
    Cli.Result result = Cli.run("inspect", directory.toString());
    assertEquals(1, result.exit(), result.err());
    assertTrue(result.out().contains("FAILED  layer 14 tensors"), result.out());
    Cli.Result run = Cli.run("run", directory.toString(), "--file", path("mini-v41/config.json"));
    assertEquals(2, run.exit());
    assertTrue(run.err().contains("model-00002-of-00002.safetensors does not exist"), run.err());
    assertEquals(0, Cli.run("hash", directory.toString(), "--ids", "1").exit());
  }
}
