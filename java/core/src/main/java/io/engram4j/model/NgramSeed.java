package io.engram4j.model;

import io.engram4j.host.CheckedFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;

/**
 * N-grams whose projections are worth having in memory, the most frequent first: counted over a
 * corpus by {@code NgramCounter}, and projected into a memo when a model is opened. Row ids depend
 * on the ids alone, so one seed serves all layers. Immutable.
 */
public final class NgramSeed {
  private static final String MAGIC = "ENGRNSD1";

  private final int maxNgram;
  private final int distinctIds;
  private final int[] ids;

  /**
   * A seed.
   *
   * @param maxNgram the longest n-gram of the model
   * @param distinctIds how many compressed ids the model has
   * @param ids compressed ids [n-grams, maxNgram], newest first, -1 after the oldest; copied
   * @throws IllegalArgumentException if an n-gram has fewer than two ids, or ids that the model has
   *     not
   */
  public NgramSeed(int maxNgram, int distinctIds, int[] ids) {
    if (maxNgram < 2 || ids.length % maxNgram != 0) {
      throw new IllegalArgumentException(
          ids.length + " ids are no n-grams of up to " + maxNgram + " ids each");
    }
    this.maxNgram = maxNgram;
    this.distinctIds = distinctIds;
    this.ids = ids.clone();
    for (int ngram = 0; ngram < size(); ngram++) {
      check(ngram);
    }
  }

  private void check(int ngram) {
    boolean ended = false;
    for (int i = 0; i < maxNgram; i++) {
      int id = id(ngram, i);
      ended |= id == -1;
      if (ended ? i < 2 || id != -1 : id < 0 || id >= distinctIds) {
        throw new IllegalArgumentException(
            "n-gram " + ngram + " has id " + id + " at " + i + "; ids go to " + (distinctIds - 1));
      }
    }
  }

  /** Returns how many n-grams there are. */
  public int size() {
    return ids.length / maxNgram;
  }

  /** Returns the longest n-gram of the model it was counted for. */
  public int maxNgram() {
    return maxNgram;
  }

  /** Returns how many compressed ids the model has that it was counted for. */
  public int distinctIds() {
    return distinctIds;
  }

  /** Returns an n-gram's id, 0 being the newest, or -1 if the n-gram is not so long. */
  public int id(int ngram, int index) {
    return ids[ngram * maxNgram + index];
  }

  /** Returns how many ids an n-gram has. */
  public int length(int ngram) {
    int length = maxNgram;
    while (id(ngram, length - 1) == -1) {
      length--;
    }
    return length;
  }

  /**
   * Writes the seed into a file, replacing one that is there when all is written.
   *
   * @throws IOException if it cannot be written
   */
  public void save(Path file) throws IOException {
    ByteBuffer bytes = CheckedFile.begin(MAGIC, 8 + 4L * ids.length);
    bytes.putInt(maxNgram).putInt(distinctIds);
    for (int id : ids) {
      bytes.putInt(id);
    }
    CheckedFile.write(file, bytes);
  }

  /**
   * Reads a seed.
   *
   * @throws IOException if it cannot be read, is no seed, or is damaged
   */
  public static NgramSeed load(Path file) throws IOException {
    ByteBuffer bytes = CheckedFile.read(file, MAGIC, 8, "seed of n-grams");
    int maxNgram = bytes.getInt();
    int distinctIds = bytes.getInt();
    if (bytes.remaining() % 4 != 0) {
      throw new IOException(file + " ends too early");
    }
    int[] ids = new int[bytes.remaining() / 4];
    bytes.asIntBuffer().get(ids);
    try {
      return new NgramSeed(maxNgram, distinctIds, ids);
    } catch (IllegalArgumentException e) {
      throw new IOException(file + ": " + e.getMessage(), e);
    }
  }
}
