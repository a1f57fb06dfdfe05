package io.engram4j.tokenizer;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/**
 * What of a tokenizer.json is given to the tokenizers. They panic on some normalizers, prefixes and
 * patterns, which ends the process, and others make a text grow or a match run for ever: so only
 * parts that are known are let through, which are those of byte-level BPE models.
 */
final class TokenizerRules {
  private static final ObjectMapper MAPPER = new ObjectMapper();
  private static final Set<String> NORMALIZERS =
      Set.of("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents");
  private static final Set<String> SPLITTERS = Set.of("ByteLevel", "Digits");
  private static final Set<String> PROCESSORS = Set.of("ByteLevel", "TemplateProcessing");
  private static final int MOST_DEPTH = 8;

  private final String what;
  private final List<String> wide = new ArrayList<>();
  private boolean compatible;

  private TokenizerRules(String what) {
    this.what = what;
  }

  /**
   * Reads a file that is valid JSON.
   *
   * @throws IOException naming the part that is not known
   */
  static TokenizerRules read(Path file) throws IOException {
    TokenizerRules rules = new TokenizerRules(file.toString());
    try (JsonParser parser = MAPPER.createParser(file.toFile())) {
      parser.nextToken();
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        rules.part(parser);
      }
    }
    return rules;
  }

  /** Looks at a part of the file; the vocabulary and its merges, nearly all of it, are skipped. */
  private void part(JsonParser parser) throws IOException {
    String name = parser.currentName();
    JsonToken start = parser.nextToken();
    switch (name) {
      case "normalizer" -> normalizer(MAPPER.readTree(parser), 0);
      case "pre_tokenizer" -> splitter(MAPPER.readTree(parser), 0);
      case "post_processor" -> processor(MAPPER.readTree(parser), 0);
      case "added_tokens" -> {
        JsonNode tokens = MAPPER.readTree(parser);
        for (JsonNode token : tokens) {
          added(token);
        }
      }
      case "model" -> {
        while (start == JsonToken.START_OBJECT && parser.nextToken() == JsonToken.FIELD_NAME) {
          String field = parser.currentName();
          JsonToken value = parser.nextToken();
          if (value.isScalarValue()) {
            model(field, parser.getText(), value);
          } else {
            parser.skipChildren();
          }
        }
      }
      default -> parser.skipChildren();
    }
  }

  /** Returns whether a normalizer replaces characters by several that are like them. */
  boolean isCompatible() {
    return compatible;
  }

  /** Returns the added tokens that can reach over the end of a line, where no cut may be. */
  List<String> wideTokens() {
    return List.copyOf(wide);
  }

  private void normalizer(JsonNode node, int depth) throws IOException {
    String type = type(node, "normalizer", depth);
    if (type.equals("Sequence")) {
      for (JsonNode inner : node.path("normalizers")) {
        normalizer(inner, depth + 1);
      }
    } else {
      require(type, NORMALIZERS, "normalizer");
      compatible |= type.startsWith("NFK");
    }
  }

  private void splitter(JsonNode node, int depth) throws IOException {
    String type = type(node, "pre_tokenizer", depth);
    if (type.equals("Sequence")) {
      for (JsonNode inner : node.path("pretokenizers")) {
        splitter(inner, depth + 1);
      }
    } else if (type.equals("Split")) {
      JsonNode pattern = node.path("pattern");
      if (pattern.path("Regex").isTextual()) {
        String problem = RegexCheck.problem(pattern.path("Regex").textValue());
        if (problem != null) {
          throw refused("a pre_tokenizer whose pattern " + problem);
        }
      } else if (pattern.path("String").asText().isEmpty()) {
        throw refused("a pre_tokenizer without a pattern");
      }
    } else {
      require(type, SPLITTERS, "pre_tokenizer");
    }
  }

  private void processor(JsonNode node, int depth) throws IOException {
    String type = type(node, "post_processor", depth);
    if (type.equals("Sequence")) {
      for (JsonNode inner : node.path("processors")) {
        processor(inner, depth + 1);
      }
    } else {
      require(type, PROCESSORS, "post_processor");
    }
  }

  private void model(String field, String value, JsonToken kind) throws IOException {
    boolean affix = field.equals("continuing_subword_prefix") || field.equals("end_of_word_suffix");
    if (affix && kind != JsonToken.VALUE_NULL && !value.isEmpty()) {
      throw refused("a model with " + field);
    }
    if (field.equals("dropout") && kind != JsonToken.VALUE_NULL) {
      throw refused("a model with dropout");
    }
  }

  private void added(JsonNode token) throws IOException {
    String content = token.path("content").asText();
    if (content.isEmpty()) {
      throw refused("an empty added token");
    }
    if (content.indexOf('\n') >= 0 || token.path("lstrip").asBoolean()) {
      wide.add(content);
    }
  }

  /** An absent part has the empty type. */
  private String type(JsonNode node, String part, int depth) throws IOException {
    if (depth > MOST_DEPTH) {
      throw refused("a " + part + " of more than " + MOST_DEPTH + " levels");
    }
    if (node.isMissingNode() || node.isNull()) {
      return "";
    }
    String type = node.path("type").asText("");
    if (type.isEmpty()) {
      throw refused("a " + part + " without a type");
    }
    return type;
  }

  private void require(String type, Set<String> known, String part) throws IOException {
    if (!type.isEmpty() && !known.contains(type)) {
      throw refused("a " + part + " of type " + printable(type));
    }
  }

  private static String printable(String text) {
    return text.replaceAll("[^\\x20-\\x7e]", "?");
  }

  private IOException refused(String part) {
    return new IOException(what + " cannot be used to tokenize text: it has " + part);
  }
}
