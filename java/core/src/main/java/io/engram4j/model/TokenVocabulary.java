package io.engram4j.model;

import io.engram4j.format.ByteLevelAlphabet;

/**
 * A tokenizer's vocabulary, as far as the token map needs it: what each id stands for.
 *
 * <p>Implement it over any tokenizer to build a {@link TokenMap} for it.
 */
public interface TokenVocabulary {
  /** Returns the number of ids, base vocabulary and added tokens together. */
  int size();

  /** Returns the bytes that an id decodes to on its own; none for an id that has no token. */
  byte[] bytes(int id);

  /**
   * Returns the id's string as the vocabulary file has it, the map's key for tokens that are not
   * whole UTF-8 characters; by default the bytes in the byte-level alphabet.
   */
  default String raw(int id) {
    return ByteLevelAlphabet.encode(bytes(id));
  }
}
