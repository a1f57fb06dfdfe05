package io.engram4j.examples.floats;

import java.util.Arrays;

/** Keys and values of a sequence's tokens, per layer; grows, is cut back, is copied. */
final class KvCache {
  private final int width;
  private final float[][] keys;
  private final float[][] values;
  private int length;

  KvCache(int layers, int width) {
    this.width = width;
    this.keys = new float[layers][16 * width];
    this.values = new float[layers][16 * width];
  }

  private KvCache(KvCache other) {
    this.width = other.width;
    this.keys = Arrays.stream(other.keys).map(float[]::clone).toArray(float[][]::new);
    this.values = Arrays.stream(other.values).map(float[]::clone).toArray(float[][]::new);
    this.length = other.length;
  }

  int length() {
    return length;
  }

  /** Makes room for tokens and counts them; their keys and values are written by the layers. */
  void extend(int tokens) {
    length += tokens;
    for (int layer = 0; layer < keys.length; layer++) {
      if (keys[layer].length < length * width) {
        keys[layer] = Arrays.copyOf(keys[layer], 2 * length * width);
        values[layer] = Arrays.copyOf(values[layer], 2 * length * width);
      }
    }
  }

  void truncate(int newLength) {
    length = newLength;
  }

  KvCache fork() {
    return new KvCache(this);
  }

  float[] keys(int layer) {
    return keys[layer];
  }

  float[] values(int layer) {
    return values[layer];
  }
}
