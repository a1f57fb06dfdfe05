package io.engram4j.hf;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * Text to token ids and back by a tokenizer.json, through DJL's binding of the Hugging Face
 * tokenizers. No special tokens are added. Thread-safe; close it to free its native memory.
 */
public final class TextTokenizer implements AutoCloseable {
  private final HuggingFaceTokenizer tokenizer;

  private TextTokenizer(HuggingFaceTokenizer tokenizer) {
    this.tokenizer = tokenizer;
  }

  /**
   * Opens a tokenizer.
   *
   * @throws IOException if the file is broken, or the native library cannot be loaded here
   */
  public static TextTokenizer open(Path tokenizerJson) throws IOException {
    TokenizerJson.read(tokenizerJson); // our own messages for what is broken, before native code
    try {
      return new TextTokenizer(
          HuggingFaceTokenizer.builder()
              .optTokenizerPath(tokenizerJson)
              .optAddSpecialTokens(false)
              .optTruncation(false)
              .optPadding(false)
              .build());
    } catch (RuntimeException | LinkageError e) {
      String reason = String.valueOf(e.getMessage()).replaceAll("\\s+", " ");
      throw new IOException(tokenizerJson + " cannot be used to tokenize text: " + reason, e);
    }
  }

  /**
   * Returns the token ids of a text.
   *
   * @throws IllegalArgumentException if the text has a lone surrogate, which no encoding can hold
   */
  public int[] encode(String text) {
    requireWellFormed(text);
    long[] ids = tokenizer.encode(text).getIds();
    int[] narrow = new int[ids.length];
    for (int i = 0; i < ids.length; i++) {
      narrow[i] = Math.toIntExact(ids[i]);
    }
    return narrow;
  }

  /** Returns the text of token ids, special ones left out. */
  public String decode(int... ids) {
    return tokenizer.decode(Arrays.stream(ids).asLongStream().toArray(), true);
  }

  /** Checks that a text can be written as UTF-8. */
  public static void requireWellFormed(String text) {
    try {
      StandardCharsets.UTF_8.newEncoder().encode(java.nio.CharBuffer.wrap(text));
    } catch (CharacterCodingException e) {
      throw new IllegalArgumentException(
          "the text has a lone surrogate at index " + loneSurrogate(text), e);
    }
  }

  private static int loneSurrogate(String text) {
    for (int i = 0; i < text.length(); i++) {
      if (Character.isHighSurrogate(text.charAt(i))
          && i + 1 < text.length()
          && Character.isLowSurrogate(text.charAt(i + 1))) {
        i++;
      } else if (Character.isSurrogate(text.charAt(i))) {
        return i;
      }
    }
    return -1;
  }

  @Override
  public void close() {
    tokenizer.close();
  }
}
