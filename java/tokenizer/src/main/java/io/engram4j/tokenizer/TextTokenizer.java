package io.engram4j.tokenizer;

import static ai.djl.huggingface.tokenizers.jni.TokenizersLibrary.LIB;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import io.engram4j.hf.TokenizerJson;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.LongConsumer;
import java.util.stream.IntStream;

/**
 * Text to token ids and back by a tokenizer.json, through DJL's binding of the Hugging Face
 * tokenizers. No special tokens are added, and no file but that one has a say. Long texts are
 * encoded in pieces that give the same ids. Thread-safe; close it to free its native memory.
 *
 * <p>The tokenizers end the process where they panic, so a file that they are known to panic on, or
 * to run on for ever, is refused before. The first one that is opened sets system properties,
 * unless they are set, which keep DJL from the network: {@code ai.djl.offline}, {@code
 * OPT_OUT_TRACKING}; {@code DJL_CACHE_DIR} and {@code jna.tmpdir}, where their libraries are put.
 */
public final class TextTokenizer implements AutoCloseable {
  private final HuggingFaceTokenizer tokenizer;
  private final List<String> wide; // added tokens that no cut may go through
  private final ReadWriteLock open = new ReentrantReadWriteLock(); // closing waits for those within
  private final int mostOfWide; // tokens of a character that is not ASCII
  private final int longest; // bytes of a token
  private boolean closed;

  private TextTokenizer(
      HuggingFaceTokenizer tokenizer, List<String> wide, int mostOfWide, int longest) {
    this.tokenizer = tokenizer;
    this.wide = wide;
    this.mostOfWide = mostOfWide;
    this.longest = longest;
  }

  /**
   * Opens a tokenizer.
   *
   * @throws IOException if the file is broken or is none that is known to be safe, or the native
   *     library cannot be loaded here
   */
  public static TextTokenizer open(Path tokenizerJson) throws IOException {
    // our own messages for what is broken, before native code
    TokenizerJson vocabulary = TokenizerJson.read(tokenizerJson);
    TokenizerRules rules = TokenizerRules.read(tokenizerJson);
    DjlSettings.apply();
    NativeRoom.require(0);
    try {
      HuggingFaceTokenizer tokenizer =
          HuggingFaceTokenizer.builder()
              .optTokenizerPath(tokenizerJson)
              .optAddSpecialTokens(false)
              .optTruncation(false)
              .optPadding(false)
              .build();
      int longest =
          IntStream.range(0, vocabulary.size())
              .map(id -> vocabulary.bytes(id).length)
              .max()
              .orElse(1);
      int mostOfWide = rules.isCompatible() ? 3 * 18 : 3;
      return new TextTokenizer(tokenizer, rules.wideTokens(), mostOfWide, longest);
    } catch (RuntimeException | LinkageError e) {
      String reason = String.valueOf(e.getMessage()).replaceAll("\\s+", " ");
      throw new IOException(
          tokenizerJson
              + " cannot be used to tokenize text: "
              + reason
              + (reason.contains("failed to map segment")
                  ? "; is it mounted noexec? Name another directory with DJL_CACHE_DIR"
                  : ""),
          e);
    }
  }

  /**
   * Returns the token ids of a text.
   *
   * @throws IllegalArgumentException if the text has a lone surrogate, which no encoding can hold,
   *     or is too long to encode at once and has no line ends to cut it at
   * @throws IllegalStateException if the tokenizer is closed
   */
  public int[] encode(String text) {
    return encode(text, characters -> {});
  }

  /**
   * Does the same.
   *
   * @param progress hears of characters that are done
   */
  public int[] encode(String text, LongConsumer progress) {
    requireWellFormed(text);
    return new TokenPieces(text, wide, this::encodeAtOnce).encode(progress);
  }

  /** A byte can be a token; compatibility normalizers make up to 18 characters of one. */
  private long mostTokens(String text) {
    long most = 0;
    for (int i = 0; i < text.length(); i++) {
      most += text.charAt(i) < 0x80 ? 1 : mostOfWide;
    }
    return most;
  }

  /** DJL's own method would make strings and spans of every token, and read other files. */
  private int[] encodeAtOnce(String text) {
    NativeRoom.require(mostTokens(text));
    open.readLock().lock();
    try {
      requireOpen();
      long encoding = LIB.encode(tokenizer.getHandle(), text, false);
      try {
        return Arrays.stream(LIB.getTokenIds(encoding)).mapToInt(Math::toIntExact).toArray();
      } finally {
        LIB.deleteEncoding(encoding);
      }
    } finally {
      open.readLock().unlock();
    }
  }

  /**
   * Returns the text of token ids, special ones left out.
   *
   * @throws IllegalArgumentException if an id is negative
   * @throws IllegalStateException if the tokenizer is closed
   */
  public String decode(int... ids) {
    if (Arrays.stream(ids).anyMatch(id -> id < 0)) {
      throw new IllegalArgumentException("a token id is negative");
    }
    long[] wanted = Arrays.stream(ids).asLongStream().toArray();
    NativeRoom.require((long) ids.length * longest / 4 + 1); // UTF-16
    open.readLock().lock();
    try {
      requireOpen();
      return LIB.decode(tokenizer.getHandle(), wanted, true);
    } finally {
      open.readLock().unlock();
    }
  }

  private void requireOpen() {
    if (closed) {
      throw new IllegalStateException("the tokenizer is closed");
    }
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

  /** Waits for calls under way; later ones are refused. */
  @Override
  public void close() {
    NativeRoom.require(0);
    open.writeLock().lock();
    try {
      if (!closed) {
        closed = true;
        tokenizer.close();
      }
    } finally {
      open.writeLock().unlock();
    }
  }
}
