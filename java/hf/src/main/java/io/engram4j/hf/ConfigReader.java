package io.engram4j.hf;

import com.fasterxml.jackson.databind.JsonNode;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.EngramConfig.Variant;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;

/**
 * Reads the Engram fields of a config.json (specification, section 1): DeepSeek-V4.1's, flat or in
 * {@code text_config}, and the paper's demo's.
 */
final class ConfigReader {
  private static final long MAX_BYTES = 16 << 20;
  private static final double V41_EPS = 1e-20;
  private static final double FLOAT_EPS = 0x1p-23; // what torch's RMSNorm takes where none is given

  private final String file;
  private final JsonNode fields;

  private ConfigReader(String file, JsonNode fields) {
    this.file = file;
    this.fields = fields;
  }

  /**
   * Reads a configuration.
   *
   * @throws IOException naming the file and the field that is missing or wrong
   */
  static EngramConfig read(Path path) throws IOException {
    return parse(path.toString(), Json.readObject(path, MAX_BYTES));
  }

  static EngramConfig parse(String file, JsonNode root) throws IOException {
    JsonNode text = root.path("text_config");
    JsonNode section = text.has("engram_layer_ids") ? text : root;
    ConfigReader reader = new ConfigReader(file, section);
    try {
      if (section.has("engram_layer_ids")) {
        return reader.v41();
      }
      if (section.has("layer_ids") && section.has("n_head_per_ngram")) {
        return reader.paper();
      }
    } catch (IllegalArgumentException e) {
      throw new IOException(file + ": " + e.getMessage(), e);
    }
    throw new IOException(
        file
            + " describes no Engram layers: it has neither engram_layer_ids (DeepSeek-V4.1) nor"
            + " layer_ids and n_head_per_ngram (the paper's demo)");
  }

  private EngramConfig v41() throws IOException {
    int maxNgram = integer("engram_max_ngram_size");
    return new EngramConfig(
        Variant.V41,
        integer(either("hidden_size", "dim")),
        integer("hc_mult"),
        integers("engram_layer_ids"),
        maxNgram,
        vocabSizes(maxNgram),
        integer("engram_n_heads"),
        integer("engram_head_dim"),
        integer(either("engram_pad_token_id", "engram_pad_id")),
        fields.hasNonNull("engram_seed")
            ? wholeNumber("engram_seed", fields.get("engram_seed"))
            : 0,
        number(either("rms_norm_eps", "norm_eps"), V41_EPS),
        0,
        optionalInteger("image_token_id"),
        optionalInteger("engram_compressed_vocab_size"),
        fields.hasNonNull("engram_num_embeddings") ? longs("engram_num_embeddings") : List.of());
  }

  private EngramConfig paper() throws IOException {
    int maxNgram = integer("max_ngram_size");
    int heads = integer("n_head_per_ngram");
    int perNgram = integer("n_embed_per_ngram");
    if (heads < 1 || perNgram % heads != 0) {
      throw new IOException(
          file
              + ": n_embed_per_ngram "
              + perNgram
              + " does not divide by n_head_per_ngram "
              + heads);
    }
    return new EngramConfig(
        Variant.PAPER,
        integer("hidden_size"),
        integer("hc_mult"),
        integers("layer_ids"),
        maxNgram,
        vocabSizes(maxNgram),
        heads,
        perNgram / heads,
        integer("pad_id"),
        fields.has("seed") ? wholeNumber("seed", fields.get("seed")) : 0,
        FLOAT_EPS,
        integer("kernel_size"),
        OptionalInt.empty(),
        optionalInteger("engram_compressed_vocab_size"),
        List.of());
  }

  /** One start for all orders, or one per order. */
  private List<Long> vocabSizes(int maxNgram) throws IOException {
    JsonNode node = require("engram_vocab_size");
    if (node.isArray()) {
      return longs("engram_vocab_size");
    }
    if (maxNgram < 2 || maxNgram > 64) {
      throw new IOException(file + ": max n-gram is " + maxNgram + ", not between 2 and 64");
    }
    long size = wholeNumber("engram_vocab_size", node);
    return java.util.Collections.nCopies(maxNgram - 1, size);
  }

  private String either(String name, String other) {
    return fields.has(name) || !fields.has(other) ? name : other;
  }

  private JsonNode require(String name) throws IOException {
    JsonNode node = fields.get(name);
    if (node == null || node.isNull()) {
      throw new IOException(file + ": " + name + " is missing");
    }
    return node;
  }

  private int integer(String name) throws IOException {
    return toInt(name, wholeNumber(name, require(name)));
  }

  private OptionalInt optionalInteger(String name) throws IOException {
    return fields.hasNonNull(name) ? OptionalInt.of(integer(name)) : OptionalInt.empty();
  }

  private List<Integer> integers(String name) throws IOException {
    List<Integer> values = new ArrayList<>();
    for (long value : longs(name)) {
      values.add(toInt(name, value));
    }
    return values;
  }

  private int toInt(String name, long value) throws IOException {
    if (value != (int) value) {
      throw new IOException(file + ": " + name + " is " + value + ", beyond 32 bits");
    }
    return (int) value;
  }

  private List<Long> longs(String name) throws IOException {
    JsonNode node = require(name);
    if (!node.isArray()) {
      throw new IOException(file + ": " + name + " is " + node + ", not a list");
    }
    List<Long> values = new ArrayList<>();
    for (JsonNode element : node) {
      values.add(wholeNumber(name, element));
    }
    return values;
  }

  private long wholeNumber(String name, JsonNode node) throws IOException {
    if (!node.isIntegralNumber() || !node.canConvertToLong()) {
      throw new IOException(file + ": " + name + " is " + shown(node) + ", not a whole number");
    }
    return node.longValue();
  }

  private double number(String name, double otherwise) throws IOException {
    if (!fields.hasNonNull(name)) {
      return otherwise;
    }
    JsonNode node = fields.get(name);
    if (!node.isNumber()) {
      throw new IOException(file + ": " + name + " is " + shown(node) + ", not a number");
    }
    return node.doubleValue();
  }

  private static String shown(JsonNode node) {
    String text = node.toString();
    return text.length() <= 60 ? text : text.substring(0, 60) + "...";
  }
}
