package io.engram4j.hf;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonFactoryBuilder;
import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.engram4j.host.Printable;
import io.engram4j.host.RegularFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * JSON read strictly: nothing after the end, bounded size, and no duplicate keys in headers and
 * tokenizers. Configurations and indexes are read as Python does: of a key that is there twice the
 * last counts, NaN and Infinity are numbers, and a byte order mark is skipped.
 */
final class Json {
  static final JsonFactory FACTORY =
      new JsonFactoryBuilder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
          // keys are tokens, each there once: interning them doubled the time of large files
          .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
          .build();

  private static final ObjectMapper MAPPER =
      new ObjectMapper(FACTORY).enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

  private static final ObjectMapper PYTHON =
      new ObjectMapper(
              new JsonFactoryBuilder().enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS).build())
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

  private Json() {}

  /**
   * Reads a file that holds a JSON object, as Python does.
   *
   * @throws IOException naming the file, and line and column where the JSON is broken
   */
  static JsonNode readObject(Path file, long maxBytes) throws IOException {
    requireFile(file, maxBytes);
    return parseObject(PYTHON, file.toString(), Files.readAllBytes(file));
  }

  /** Reads an object in which no key is there twice. */
  static JsonNode parseObject(String what, byte[] json) throws IOException {
    return parseObject(MAPPER, what, json);
  }

  private static JsonNode parseObject(ObjectMapper mapper, String what, byte[] json)
      throws IOException {
    JsonNode root;
    try {
      root = mapper.readTree(json);
    } catch (JsonProcessingException e) {
      throw broken(what, e);
    }
    if (!root.isObject()) {
      throw new IOException(what + " is not a JSON object");
    }
    return root;
  }

  /** Checks that a path is a file of a size worth reading. */
  static void requireFile(Path file, long maxBytes) throws IOException {
    RegularFiles.require(file);
    long size = Files.size(file);
    if (size > maxBytes) {
      throw new IOException(
          file + " has " + size + " bytes; more than " + maxBytes + " are not read as JSON");
    }
  }

  static IOException broken(String what, JsonProcessingException e) {
    String reason = String.valueOf(e.getOriginalMessage()).replaceAll("\\s+", " ");
    reason = Printable.of(reason);
    JsonLocation at = e.getLocation();
    String place = at == null ? "" : " at line " + at.getLineNr() + ", column " + at.getColumnNr();
    return new IOException(what + " is not valid JSON" + place + ": " + reason, e);
  }
}
