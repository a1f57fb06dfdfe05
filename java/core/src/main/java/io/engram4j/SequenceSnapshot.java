package io.engram4j;

import io.engram4j.host.CheckedFile;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;

/**
 * All that continuing a sequence needs, small enough to keep beside a prefix cache: how many tokens
 * there were, the last compressed ids, and what the short convolutions remember. Immutable.
 */
public final class SequenceSnapshot {
  private static final String MAGIC = "ENGRSNP1";
  private static final int FIXED = 8 + 4 + 4 + 4;

  private final long model; // its key, or 0 if it is not known
  private final int length;
  private final int[] lastIds;
  private final List<float[]> convWindows;

  SequenceSnapshot(long model, int length, int[] lastIds, List<float[]> convWindows) {
    this.model = model;
    this.length = length;
    this.lastIds = lastIds;
    this.convWindows = List.copyOf(convWindows);
  }

  /**
   * Rebuilds a snapshot that was stored elsewhere, of a model without convolutions.
   *
   * @param length number of tokens so far
   * @param lastIds the last {@code min(length, maxNgram - 1)} compressed ids, oldest first, -1 for
   *     a dead one; copied
   */
  public static SequenceSnapshot of(int length, int[] lastIds) {
    return new SequenceSnapshot(0, length, lastIds.clone(), List.of());
  }

  /**
   * Rebuilds a snapshot of a model with convolutions that was stored elsewhere, such as by another
   * engine.
   *
   * @param convWindows per layer [reach, channels], the oldest token's values first: what its
   *     convolution has seen after the norm; zeros before the first token; copied
   */
  public static SequenceSnapshot of(int length, int[] lastIds, List<float[]> convWindows) {
    return new SequenceSnapshot(
        0, length, lastIds.clone(), convWindows.stream().map(float[]::clone).toList());
  }

  /** Returns what the convolutions of the layers remember, as {@link #of(int, int[], List)}. */
  public List<float[]> convWindows() {
    return convWindows.stream().map(float[]::clone).toList();
  }

  /** Returns the number of tokens so far. */
  public int length() {
    return length;
  }

  /** Returns the last compressed ids, oldest first, -1 for a dead one. */
  public int[] lastIds() {
    return lastIds.clone();
  }

  long model() {
    return model;
  }

  /**
   * Returns all of it, to be stored or sent: eight characters, little-endian numbers, a checksum.
   * It tells models of another vocabulary or shape from its own.
   */
  public byte[] toBytes() {
    long size = FIXED + 4L * lastIds.length;
    for (float[] window : convWindows) {
      size += 4 + 4L * window.length;
    }
    ByteBuffer bytes = CheckedFile.begin(MAGIC, size);
    bytes.putLong(model).putInt(length).putInt(lastIds.length).putInt(convWindows.size());
    for (int id : lastIds) {
      bytes.putInt(id);
    }
    for (float[] window : convWindows) {
      bytes.putInt(window.length);
      for (float value : window) {
        bytes.putFloat(value);
      }
    }
    byte[] all = new byte[bytes.capacity()];
    bytes.putInt(CheckedFile.crc(bytes.slice(0, bytes.position()))).flip().get(all);
    return all;
  }

  /**
   * Returns the snapshot of {@link #toBytes}.
   *
   * @throws IllegalArgumentException if the bytes are none, or damaged
   */
  public static SequenceSnapshot fromBytes(byte[] bytes) {
    ByteBuffer in = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    int end = bytes.length - 4;
    if (end < 8 + FIXED
        || in.getLong() != CheckedFile.magic(MAGIC)
        || in.getInt(end) != CheckedFile.crc(in.slice(0, end))) {
      throw new IllegalArgumentException(
          bytes.length + " bytes that are no snapshot, or a damaged one");
    }
    try {
      in.limit(end);
      long model = in.getLong();
      int length = in.getInt();
      int[] ids = new int[count(in.getInt(), in)];
      int windows = count(in.getInt(), in);
      for (int i = 0; i < ids.length; i++) {
        ids[i] = in.getInt();
      }
      List<float[]> all = new ArrayList<>();
      for (int i = 0; i < windows; i++) {
        float[] window = new float[count(in.getInt(), in)];
        for (int k = 0; k < window.length; k++) {
          window[k] = in.getFloat();
        }
        all.add(window);
      }
      if (length < 0 || in.hasRemaining()) {
        throw new IllegalArgumentException("a snapshot of " + length + " tokens is impossible");
      }
      return new SequenceSnapshot(model, length, ids, all);
    } catch (BufferUnderflowException e) {
      throw new IllegalArgumentException("a snapshot ends before its last number", e);
    }
  }

  private static int count(int count, ByteBuffer in) {
    if (count < 0 || count > in.remaining() / 4) {
      throw new IllegalArgumentException(
          "a snapshot has " + count + " numbers, but " + in.remaining() + " bytes");
    }
    return count;
  }
}
