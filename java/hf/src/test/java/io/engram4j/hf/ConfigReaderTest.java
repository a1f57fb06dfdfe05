package io.engram4j.hf;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.engram4j.model.EngramConfig;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Configurations as they are released: at two levels, and as Python writes them. */
class ConfigReaderTest {
  private static final String TEXT =
      """
      "hidden_size": 160, "hc_mult": 4, "rms_norm_eps": 1e-20, "engram_layer_ids": [1, 14],
      "engram_max_ngram_size": 4, "engram_vocab_size": 401, "engram_n_heads": 8,
      "engram_head_dim": 64, "engram_pad_token_id": 834
      """;

  private static EngramConfig read(String json) throws IOException {
    byte[] bytes = json.getBytes(StandardCharsets.UTF_8);
    return ConfigReader.parse("config.json", Json.parseObject("config.json", bytes)).config();
  }

  /** The released V4.1 has it beside text_config; there images would be hashed as text. */
  @Test
  void theImageTokenMayLieBesideTextConfig() throws IOException {
    OptionalInt image = OptionalInt.of(835);
    assertEquals(
        image, read("{\"image_token_id\": 835, \"text_config\": {" + TEXT + "}}").imageTokenId());
    assertEquals(
        image, read("{\"text_config\": {" + TEXT + ", \"image_token_id\": 835}}").imageTokenId());
    assertEquals(image, read("{" + TEXT + ", \"image_token_id\": 835}").imageTokenId());
    assertEquals(OptionalInt.empty(), read("{\"text_config\": {" + TEXT + "}}").imageTokenId());
  }

  @Test
  void whatIsInTextConfigCounts() throws IOException {
    String beside = "\"image_token_id\": 3, \"hidden_size\": 7, \"hc_mult\": null";
    EngramConfig config =
        read("{" + beside + ", \"text_config\": {" + TEXT + ", \"image_token_id\": 835}}");
    assertEquals(OptionalInt.of(835), config.imageTokenId());
    assertEquals(160, config.hiddenSize());
  }

  @Test
  void fieldsThatAreNotOursMayBeWhatPythonWrites() throws IOException {
    for (String value : new String[] {"NaN", "Infinity", "-Infinity"}) {
      String json = "{\"time_step_limit\": [0.0, " + value + "], \"text_config\": {" + TEXT + "}}";
      assertEquals(160, read(json).hiddenSize());
      assertEquals(160, read("\ufeff" + json).hiddenSize());
    }
  }

  /** Python takes the last of them; a header of tensors must not have any. */
  @Test
  void ofAKeyThatIsThereTwiceTheLastCounts(@TempDir Path directory) throws IOException {
    String twice = TEXT.replace("\"hc_mult\": 4", "\"hc_mult\": 2, \"hc_mult\": 4");
    Path file = Files.writeString(directory.resolve("config.json"), "{" + twice + "}");
    assertEquals(4, ConfigReader.read(file).config().branches());
    assertThrows(IOException.class, () -> read("{" + twice + "}"));
  }
}
