package io.engram4j.train.data;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.engram4j.format.ByteLevelAlphabet;
import io.engram4j.model.TokenVocabulary;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A byte-level BPE as GPT-2 has it: ids 0 to 2 are padding, begin and end, then the 256 bytes, then
 * a token for each merge. Encodes as Hugging Face's library does with {@link #write}'s
 * tokenizer.json, but for texts that spell a special token out. Immutable and thread-safe.
 */
public final class Bpe implements TokenVocabulary {
  /** The id of padding. */
  public static final int PAD = 0;

  /** The id that begins a document, where one does. */
  public static final int BEGIN = 1;

  /** The id that ends a document. */
  public static final int END = 2;

  static final List<String> SPECIAL = List.of("<pad>", "<s>", "</s>");
  static final int FIRST_BYTE = SPECIAL.size();
  static final int FIRST_MERGE = FIRST_BYTE + 256;

  private static final Pattern WORDS =
      Pattern.compile(
          "'(?:s|t|re|ve|m|ll|d)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
          Pattern.UNICODE_CHARACTER_CLASS);

  private final int[] left;
  private final int[] right;
  private final byte[][] bytes;
  private final Map<Long, Integer> ranks = new HashMap<>();

  /**
   * A vocabulary by its merges.
   *
   * @param left first id of each merge
   * @param right second id
   * @throws IllegalArgumentException if a merge names an id that is not there before it
   */
  Bpe(int[] left, int[] right) {
    this.left = left.clone();
    this.right = right.clone();
    this.bytes = new byte[FIRST_MERGE + left.length][];
    for (int i = 0; i < FIRST_BYTE; i++) {
      bytes[i] = SPECIAL.get(i).getBytes(StandardCharsets.UTF_8);
    }
    for (int i = 0; i < 256; i++) {
      bytes[FIRST_BYTE + i] = new byte[] {(byte) i};
    }
    for (int i = 0; i < left.length; i++) {
      int id = FIRST_MERGE + i;
      if (left[i] < FIRST_BYTE || left[i] >= id || right[i] < FIRST_BYTE || right[i] >= id) {
        throw new IllegalArgumentException(
            "merge " + i + " joins ids " + left[i] + " and " + right[i]);
      }
      byte[] joined = Arrays.copyOf(bytes[left[i]], bytes[left[i]].length + bytes[right[i]].length);
      System.arraycopy(bytes[right[i]], 0, joined, bytes[left[i]].length, bytes[right[i]].length);
      bytes[id] = joined;
      ranks.putIfAbsent(pair(left[i], right[i]), id);
    }
  }

  static long pair(int a, int b) {
    return ((long) a << 32) | b;
  }

  /** Cuts a text into the words within which tokens are merged. */
  static List<String> words(String text) {
    List<String> words = new ArrayList<>();
    Matcher matcher = WORDS.matcher(text);
    while (matcher.find()) {
      words.add(matcher.group());
    }
    return words;
  }

  @Override
  public int size() {
    return bytes.length;
  }

  @Override
  public byte[] bytes(int id) {
    return bytes[id].clone();
  }

  @Override
  public String raw(int id) {
    return id < FIRST_BYTE ? SPECIAL.get(id) : ByteLevelAlphabet.encode(bytes[id]);
  }

  /** Returns the ids of a text, without begin and end. */
  public int[] encode(String text) {
    Map<String, int[]> known = new HashMap<>();
    List<int[]> parts = new ArrayList<>();
    int size = 0;
    for (String word : words(text)) {
      int[] part = known.computeIfAbsent(word, this::word);
      parts.add(part);
      size += part.length;
    }
    int[] ids = new int[size];
    int at = 0;
    for (int[] part : parts) {
      System.arraycopy(part, 0, ids, at, part.length);
      at += part.length;
    }
    return ids;
  }

  private int[] word(String word) {
    byte[] utf8 = word.getBytes(StandardCharsets.UTF_8);
    int[] ids = new int[utf8.length];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = FIRST_BYTE + (utf8[i] & 0xff);
    }
    int count = ids.length;
    while (true) {
      int best = Integer.MAX_VALUE;
      for (int i = 0; i + 1 < count; i++) {
        best = Math.min(best, ranks.getOrDefault(pair(ids[i], ids[i + 1]), Integer.MAX_VALUE));
      }
      if (best == Integer.MAX_VALUE) {
        return Arrays.copyOf(ids, count);
      }
      count = merge(ids, count, left[best - FIRST_MERGE], right[best - FIRST_MERGE], best);
    }
  }

  /** Replaces each pair of a and b, from the left; returns how many ids remain. */
  static int merge(int[] ids, int count, int a, int b, int joined) {
    int to = 0;
    for (int i = 0; i < count; to++) {
      boolean found = ids[i] == a && i + 1 < count && ids[i + 1] == b;
      ids[to] = found ? joined : ids[i];
      i += found ? 2 : 1;
    }
    return to;
  }

  /** Returns the text of ids; bytes that are no UTF-8 become U+FFFD. */
  public String decode(int... ids) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    for (int id : ids) {
      out.writeBytes(bytes[id]);
    }
    return out.toString(StandardCharsets.UTF_8);
  }

  /**
   * Writes a tokenizer.json.
   *
   * @throws IOException if it cannot be written
   */
  public void write(Path file) throws IOException {
    Map<String, Object> model = new LinkedHashMap<>();
    model.put("type", "BPE");
    model.put("dropout", null);
    model.put("unk_token", null);
    model.put("continuing_subword_prefix", null);
    model.put("end_of_word_suffix", null);
    model.put("fuse_unk", false);
    model.put("byte_fallback", false);
    model.put("ignore_merges", false);
    Map<String, Integer> vocabulary = new LinkedHashMap<>();
    for (int id = 0; id < size(); id++) {
      vocabulary.put(raw(id), id);
    }
    model.put("vocab", vocabulary);
    List<String> merges = new ArrayList<>();
    for (int i = 0; i < left.length; i++) {
      merges.add(raw(left[i]) + " " + raw(right[i]));
    }
    model.put("merges", merges);

    Map<String, Object> level = new LinkedHashMap<>();
    level.put("type", "ByteLevel");
    level.put("add_prefix_space", false);
    level.put("trim_offsets", true);
    level.put("use_regex", true);
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("version", "1.0");
    json.put("truncation", null);
    json.put("padding", null);
    json.put("added_tokens", SPECIAL.stream().map(Bpe::special).toList());
    json.put("normalizer", null);
    json.put("pre_tokenizer", level);
    json.put("post_processor", null);
    json.put("decoder", level);
    json.put("model", model);
    Files.write(file, new ObjectMapper().writerWithDefaultPrettyPrinter().writeValueAsBytes(json));
  }

  private static Map<String, Object> special(String content) {
    Map<String, Object> token = new LinkedHashMap<>();
    token.put("id", SPECIAL.indexOf(content));
    token.put("content", content);
    for (String flag : List.of("single_word", "lstrip", "rstrip", "normalized")) {
      token.put(flag, false);
    }
    token.put("special", true);
    return token;
  }

  /**
   * Reads a tokenizer.json that {@link #write} wrote.
   *
   * @throws IOException if it cannot be read, or is another kind of tokenizer
   */
  public static Bpe read(Path file) throws IOException {
    JsonNode model = new ObjectMapper().readTree(file.toFile()).path("model");
    JsonNode vocabulary = model.path("vocab");
    JsonNode merges = model.path("merges");
    if (!model.path("type").asText().equals("BPE")
        || vocabulary.size() != FIRST_MERGE + merges.size()
        || vocabulary.path(SPECIAL.getLast()).asInt(-1) != END) {
      throw new IOException(
          file
              + " is not a tokenizer that this trained: it has "
              + vocabulary.size()
              + " tokens and "
              + merges.size()
              + " merges");
    }
    int[] left = new int[merges.size()];
    int[] right = new int[merges.size()];
    for (int i = 0; i < left.length; i++) {
      String[] sides = merges.get(i).asText().split(" ", -1);
      left[i] = vocabulary.path(sides[0]).asInt(-1);
      right[i] = sides.length == 2 ? vocabulary.path(sides[1]).asInt(-1) : -1;
    }
    try {
      return new Bpe(left, right);
    } catch (IllegalArgumentException e) {
      throw new IOException(file + ": " + e.getMessage(), e);
    }
  }
}
