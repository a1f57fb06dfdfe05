package io.engram4j.hf;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import io.engram4j.format.ByteLevelAlphabet;
import io.engram4j.host.Printable;
import io.engram4j.model.TokenVocabulary;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The vocabulary of a Hugging Face tokenizer.json: byte-level BPE with added tokens. Read as a
 * stream, since the file's merges, half of its size, are of no use here. Immutable.
 */
public final class TokenizerJson implements TokenVocabulary {
  private static final long MAX_BYTES = 1L << 30;
  private static final int MAX_ID = 1 << 27;

  private final @Nullable String[] tokens;

  private TokenizerJson(@Nullable String[] tokens) {
    this.tokens = tokens;
  }

  /**
   * Reads a tokenizer's vocabulary.
   *
   * @throws IOException naming the file if it is broken or not a byte-level BPE tokenizer
   */
  public static TokenizerJson read(Path file) throws IOException {
    Json.requireFile(file, MAX_BYTES);
    try (InputStream in = new BufferedInputStream(Files.newInputStream(file), 1 << 16)) {
      return read(file.toString(), in);
    }
  }

  static TokenizerJson read(String what, InputStream in) throws IOException {
    try (JsonParser parser = Json.FACTORY.createParser(in)) {
      return new Reader(what, parser).read();
    } catch (JsonProcessingException e) {
      throw Json.broken(what, e);
    }
  }

  @Override
  public int size() {
    return tokens.length;
  }

  @Override
  public byte[] bytes(int id) {
    String token = tokens[id];
    return token == null ? new byte[0] : ByteLevelAlphabet.decode(token);
  }

  @Override
  public String raw(int id) {
    return Objects.requireNonNullElse(tokens[id], "");
  }

  /** One pass over the file. */
  private static final class Reader {
    private final String what;
    private final JsonParser parser;
    private final Map<Integer, String> vocabulary = new HashMap<>();
    private final Map<Integer, String> added = new LinkedHashMap<>(); // as they come
    private boolean hasModel;
    private boolean byteLevel;

    Reader(String what, JsonParser parser) {
      this.what = what;
      this.parser = parser;
    }

    TokenizerJson read() throws IOException {
      expect(parser.nextToken(), JsonToken.START_OBJECT, "the file");
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        String field = parser.currentName();
        JsonToken value = parser.nextToken();
        switch (field) {
          case "added_tokens" -> addedTokens(value);
          case "model" -> model(value);
          case "decoder" -> decoder(value);
          default -> parser.skipChildren();
        }
      }
      if (parser.currentToken() != JsonToken.END_OBJECT || parser.nextToken() != null) {
        throw new IOException(what + " goes on after its end");
      }
      if (!hasModel || !byteLevel) {
        throw new IOException(
            what
                + " has no "
                + (hasModel ? "ByteLevel decoder" : "model")
                + "; only byte-level BPE tokenizers are supported");
      }
      return new TokenizerJson(byId());
    }

    /**
     * Tokenizers take an added token's id from the vocabulary, or number them as they come, and do
     * not look at the id beside it.
     */
    private void checkNumbers() throws IOException {
      Map<String, Integer> ids = new HashMap<>();
      vocabulary.forEach((id, token) -> ids.put(token, id));
      int next = vocabulary.size();
      for (Map.Entry<Integer, String> entry : added.entrySet()) {
        Integer known = ids.get(entry.getValue());
        int number = known != null ? known : next;
        next = Math.max(next, number + 1);
        if (number != entry.getKey()) {
          throw new IOException(
              what
                  + " gives the added token "
                  + Printable.of(entry.getValue())
                  + " the id "
                  + entry.getKey()
                  + ", but tokenizers number it "
                  + number
                  + ": put added_tokens in the order of their ids");
        }
      }
    }

    /** Ids run from 0 to the number of tokens, as the reference counts; gaps decode to nothing. */
    private @Nullable String[] byId() throws IOException {
      checkNumbers();
      Map<Integer, String> all = new HashMap<>(vocabulary);
      all.putAll(added); // an added token hides the vocabulary's of the same id
      if (all.isEmpty()) {
        throw new IOException(what + " has no tokens");
      }
      @Nullable String[] tokens = new @Nullable String[all.size()];
      for (Map.Entry<Integer, String> entry : all.entrySet()) {
        if (entry.getKey() >= tokens.length) {
          throw new IOException(
              what
                  + " has "
                  + tokens.length
                  + " tokens but one with id "
                  + entry.getKey()
                  + "; ids must be dense");
        }
        tokens[entry.getKey()] = entry.getValue();
      }
      return tokens;
    }

    private void model(JsonToken value) throws IOException {
      expect(value, JsonToken.START_OBJECT, "model");
      hasModel = true;
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        String field = parser.currentName();
        JsonToken inner = parser.nextToken();
        if (field.equals("vocab")) {
          vocabulary(inner);
        } else if (field.equals("type") && !"BPE".equals(parser.getText())) {
          throw new IOException(
              what
                  + " has a model of type "
                  + parser.getText()
                  + "; only byte-level BPE tokenizers are supported");
        } else {
          parser.skipChildren();
        }
      }
    }

    private void vocabulary(JsonToken value) throws IOException {
      expect(value, JsonToken.START_OBJECT, "model.vocab");
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        String token = parser.currentName();
        int id = id(parser.nextToken(), token);
        String other = vocabulary.putIfAbsent(id, token);
        if (other != null) {
          throw new IOException(what + " gives the id " + id + " to two tokens");
        }
      }
    }

    private void addedTokens(JsonToken value) throws IOException {
      if (value == JsonToken.VALUE_NULL) {
        return;
      }
      expect(value, JsonToken.START_ARRAY, "added_tokens");
      while (parser.nextToken() == JsonToken.START_OBJECT) {
        String content = null;
        int id = -1;
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
          String field = parser.currentName();
          JsonToken inner = parser.nextToken();
          if (field.equals("id")) {
            id = id(inner, "in added_tokens");
          } else if (field.equals("content")) {
            expect(inner, JsonToken.VALUE_STRING, "content of an added token");
            content = parser.getText();
            if (!StandardCharsets.UTF_8.newEncoder().canEncode(content)) {
              throw new IOException(what + " has an added token with a lone surrogate");
            }
          } else {
            parser.skipChildren();
          }
        }
        if (content == null || id < 0) {
          throw new IOException(what + " has an added token without id or content");
        }
        if (added.putIfAbsent(id, content) != null) {
          throw new IOException(what + " gives the id " + id + " to two added tokens");
        }
      }
      expect(parser.currentToken(), JsonToken.END_ARRAY, "the end of added_tokens");
    }

    private int id(JsonToken value, String token) throws IOException {
      expect(value, JsonToken.VALUE_NUMBER_INT, "the id of token " + token);
      long id = parser.getNumberType() == JsonParser.NumberType.INT ? parser.getIntValue() : -1;
      if (id < 0 || id > MAX_ID) {
        throw new IOException(
            what + " has token id " + parser.getText() + ", not between 0 and " + MAX_ID);
      }
      return (int) id;
    }

    /** A ByteLevel decoder, alone or as the one such step of a sequence. */
    private void decoder(JsonToken value) throws IOException {
      int depth = 0;
      if (value != JsonToken.START_OBJECT) {
        parser.skipChildren();
        return;
      }
      do {
        JsonToken token = parser.currentToken();
        if (token == JsonToken.START_OBJECT || token == JsonToken.START_ARRAY) {
          depth++;
        } else if (token == JsonToken.END_OBJECT || token == JsonToken.END_ARRAY) {
          depth--;
        } else if (token == JsonToken.VALUE_STRING && "type".equals(parser.currentName())) {
          String type = parser.getText();
          byteLevel |= type.equals("ByteLevel");
          if (!type.equals("ByteLevel") && !type.equals("Sequence")) {
            throw new IOException(
                what
                    + " has a decoder of type "
                    + type
                    + "; only byte-level BPE tokenizers are supported");
          }
        } else if (token == null) {
          throw new IOException(what + " ends within its decoder");
        }
      } while (depth > 0 && parser.nextToken() != JsonToken.NOT_AVAILABLE);
    }

    private void expect(@Nullable JsonToken actual, JsonToken expected, String field)
        throws IOException {
      if (actual != expected) {
        throw new IOException(
            what
                + ": "
                + field
                + " is "
                + (actual == null ? "missing" : actual)
                + " where "
                + expected
                + " belongs");
      }
    }
  }
}
