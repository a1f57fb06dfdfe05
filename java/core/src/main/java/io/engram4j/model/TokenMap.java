package io.engram4j.model;

import io.engram4j.host.Digests;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;

/**
 * The compressed token map: raw token id to compressed id, where tokens that differ only in case,
 * accents or surrounding space share one (docs/spec.md, section 2). Immutable and thread-safe.
 *
 * <p>The number of compressed ids feeds every multiplier, so a wrong map silently rehashes the
 * whole table; hence the digest, and the check against the published size when a model is opened.
 */
public final class TokenMap {
  private static final int MOST_RAW_IDS = 1 << 24;

  private final int[] map;
  private final int distinct;

  private TokenMap(int[] map, int distinct) {
    this.map = map;
    this.distinct = distinct;
  }

  /** Builds the map of a vocabulary. About a second for 129,000 tokens, tokenizer.json read. */
  public static TokenMap build(TokenVocabulary vocabulary) {
    int[] map = new int[vocabulary.size()];
    Map<String, Integer> keys = new HashMap<>(2 * map.length);
    for (int id = 0; id < map.length; id++) {
      String key = key(vocabulary, id);
      Integer next = keys.size();
      Integer known = keys.putIfAbsent(key, next);
      map[id] = known == null ? next : known;
    }
    if (map.length == 0) {
      throw new IllegalArgumentException("the vocabulary has no tokens");
    }
    return new TokenMap(map, keys.size());
  }

  /** Returns what stands for a token: tokens with equal keys collapse. */
  public static String key(TokenVocabulary vocabulary, int id) {
    String text = new String(vocabulary.bytes(id), StandardCharsets.UTF_8);
    if (text.indexOf('\uFFFD') >= 0) {
      return vocabulary.raw(id);
    }
    String normalized = TokenNormalizer.normalize(text);
    return normalized.isEmpty() ? text : normalized;
  }

  /**
   * Takes a ready map.
   *
   * @param map per raw id its compressed id; copied
   * @throws IllegalArgumentException if the values are not 0 to n-1, each first seen in ascending
   *     order, as every map built by the rule is
   */
  public static TokenMap of(int[] map) {
    int[] copy = map.clone();
    int distinct = 0;
    for (int id = 0; id < copy.length; id++) {
      if (copy[id] < 0 || copy[id] > distinct) {
        throw new IllegalArgumentException(
            "token "
                + id
                + " maps to "
                + copy[id]
                + ", but only the compressed ids 0 to "
                + distinct
                + " can stand here");
      }
      distinct = Math.max(distinct, copy[id] + 1);
    }
    if (distinct == 0) {
      throw new IllegalArgumentException("the map is empty");
    }
    return new TokenMap(copy, distinct);
  }

  /**
   * Returns the map of models that hash raw ids.
   *
   * @param size the number of ids
   * @throws IllegalArgumentException if that is not between 1 and 2^24, fifty times what there is
   */
  public static TokenMap identity(int size) {
    if (size < 1 || size > MOST_RAW_IDS) {
      throw new IllegalArgumentException(
          "a vocabulary of " + size + " ids is not between 1 and " + MOST_RAW_IDS);
    }
    int[] map = new int[size];
    Arrays.setAll(map, id -> id);
    return of(map);
  }

  /** Returns the number of raw ids. */
  public int size() {
    return map.length;
  }

  /** Returns the number of compressed ids. */
  public int distinct() {
    return distinct;
  }

  /**
   * Returns the compressed id of a raw token id.
   *
   * @throws IndexOutOfBoundsException if the id is not in the vocabulary
   */
  public int get(int tokenId) {
    if (tokenId < 0 || tokenId >= map.length) {
      throw new IndexOutOfBoundsException(
          "token id " + tokenId + " is outside the vocabulary of " + map.length + " ids");
    }
    return map[tokenId];
  }

  /** Returns a copy of the map. */
  public int[] toArray() {
    return map.clone();
  }

  /** Returns the SHA-256 of the map as 64-bit little-endian integers, in hex. */
  public String sha256() {
    return HexFormat.of().formatHex(digest());
  }

  byte[] digest() {
    ByteBuffer bytes = ByteBuffer.allocate(8 * map.length).order(ByteOrder.LITTLE_ENDIAN);
    for (int value : map) {
      bytes.putLong(value);
    }
    return Digests.sha256(bytes.array());
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof TokenMap that && Arrays.equals(map, that.map);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(map);
  }

  @Override
  public String toString() {
    return "TokenMap[" + map.length + " -> " + distinct + "]";
  }
}
