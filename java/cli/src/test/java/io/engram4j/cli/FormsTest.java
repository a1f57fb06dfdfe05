package io.engram4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.engram4j.tck.Golden;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The commands on models of every form: GGUF files, split ones, Qwen's directories. */
class FormsTest {
  @TempDir static Path golden;

  @BeforeAll
  static void extract() throws IOException {
    Golden.extract(golden);
  }

  private static String path(String model) {
    return golden.resolve(model).toString();
  }

  private static JsonNode json(String... args) throws IOException {
    Cli.Result result = Cli.run(args);
    assertEquals(0, result.exit(), result.err());
    return new ObjectMapper().readTree(result.out());
  }

  /** A directory of models, a directory of files, a file, a part, what parts begin with. */
  @Test
  void verifyTakesThemAll() throws IOException {
    JsonNode all = json("verify", golden.toString(), "--json");
    assertTrue(all.get("passed").asBoolean());
    int files = 0;
    for (JsonNode result : all.get("results")) {
      files += result.get("tensor").asText().equals("layers.1.hash_ids") ? 1 : 0;
    }
    assertEquals(17, files);
    String split = "mini-v41-gguf-split/mini";
    for (String model :
        new String[] {
          "mini-ple-gguf",
          "mini-v41-gguf/mixed.gguf",
          split + "-00003-of-00004.gguf",
          split,
          "mini-ple/config.json"
        }) {
      assertTrue(json("verify", path(model), "--json").get("passed").asBoolean(), model);
    }
    assertEquals(2, Cli.run("verify", golden.resolve("mini-v41/none.gguf").toString()).exit());
  }

  @Test
  void inspectTellsFormAndRowTypes() throws IOException {
    JsonNode mixed = json("inspect", path("mini-v41-gguf/mixed.gguf"), "--json");
    assertEquals("GGUF file, dialect of llama.cpp", mixed.get("form").asText());
    assertEquals("DeepSeek-V4.1", mixed.get("variant").asText());
    assertEquals("F16", mixed.get("tables").get(0).get("row_type").asText());
    assertEquals(512, mixed.get("tables").get(0).get("row_bytes").asInt());
    JsonNode ds4 = json("inspect", path("mini-v41-gguf-ds4/mini.gguf"), "--json");
    assertEquals("F8_E4M3", ds4.get("tables").get(0).get("row_type").asText());
    assertEquals(264, ds4.get("tables").get(0).get("row_bytes").asInt());
    JsonNode ple = json("inspect", path("mini-ple-fp8"), "--json");
    assertEquals("F8_E4M3_TENSOR", ple.get("tables").get(0).get("row_type").asText());
    assertEquals(12, ple.get("tables").get(0).get("parts").asInt());
  }

  @Test
  void hashTellsHowFarATokenLooksBack() throws IOException {
    JsonNode tokens =
        json("hash", path("mini-ple"), "--ids", "1,2,983,4,5,6", "--json").get("tokens");
    int[] lookBack = {0, 1, 2, 0, 1, 2};
    String[] stoppedBy = {
      "the beginning", "the beginning", "", "the end of a text", "the end of a text", ""
    };
    for (int i = 0; i < lookBack.length; i++) {
      assertEquals(lookBack[i], tokens.get(i).get("look_back").asInt(), "token " + i);
      assertEquals(stoppedBy[i], tokens.get(i).get("stopped_by").asText(), "token " + i);
    }
    Cli.Result text = Cli.run("hash", path("mini-ple"), "--ids", "983,4");
    assertTrue(text.out().contains("sees 0, then the end of a text before it"), text.out());
  }

  @Test
  void planRunDoctorAndPack() throws IOException {
    Path file = golden.resolve("mini-v41-gguf/mixed.gguf");
    Files.copy(
        golden.resolve("mini-v41/tokenizer.json"),
        file.resolveSibling("tokenizer.json"),
        java.nio.file.StandardCopyOption.REPLACE_EXISTING);
    assertTrue(json("plan", file.toString(), "--json").get("bytes").asLong() > 0);
    JsonNode run = json("run", file.toString(), "--text", "Only the", "--json");
    assertEquals(12, run.get("layers").size());
    JsonNode profile = json("profile", file.toString(), "--text", "Only the", "--json");
    assertEquals(4, profile.get("tokens").asInt());
    assertTrue(json("doctor", file.toString(), "--json").has("tables"));
    Cli.Result pack = Cli.run("pack", file.toString(), golden.resolve("out").toString());
    assertEquals(2, pack.exit());
    assertTrue(pack.err().contains("it needs no packing"), pack.err());
  }
}
