package io.engram4j.train.model;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/**
 * The dense parameters of a model: named tensors, one after the other in one array, so that an
 * optimizer, a checkpoint and a gradient are one loop. The owner writes {@link #values}.
 */
public final class Parameters {
  /**
   * A tensor.
   *
   * @param name as checkpoints have it
   * @param at where it begins
   * @param rows its first dimension, 1 for a vector
   * @param columns its second
   * @param decays whether weight decay applies: to matrices, not to norms
   */
  public record Tensor(String name, int at, int rows, int columns, boolean decays) {
    /** Returns how many numbers it has. */
    public int size() {
      return rows * columns;
    }
  }

  private final List<Tensor> tensors;
  private final float[] values;

  private Parameters(List<Tensor> tensors, float[] values) {
    this.tensors = List.copyOf(tensors);
    this.values = values;
  }

  /** Returns the tensors in their order. */
  public List<Tensor> tensors() {
    return tensors;
  }

  /**
   * Returns a tensor.
   *
   * @throws IllegalArgumentException if there is none of that name
   */
  public Tensor tensor(String name) {
    for (Tensor tensor : tensors) {
      if (tensor.name().equals(name)) {
        return tensor;
      }
    }
    throw new IllegalArgumentException("no tensor " + name);
  }

  /** Returns the numbers, not copied. */
  public float[] values() {
    return values;
  }

  /** Returns how many numbers there are. */
  public int size() {
    return values.length;
  }

  /** Collects tensors with what they begin as. For one thread. */
  static final class Builder {
    private final List<Tensor> tensors = new ArrayList<>();
    private final List<float[]> starts = new ArrayList<>();
    private final SplittableRandom random;
    private int size;

    Builder(long seed) {
      this.random = new SplittableRandom(seed);
    }

    /** A matrix of normal numbers. */
    int normal(String name, int rows, int columns, double deviation) {
      float[] start = new float[Math.multiplyExact(rows, columns)];
      for (int i = 0; i < start.length; i++) {
        start[i] = (float) (deviation * random.nextGaussian());
      }
      return add(name, rows, columns, start, true);
    }

    /** Equal numbers, which do not decay. */
    int constant(String name, int rows, int columns, float value) {
      float[] start = new float[Math.multiplyExact(rows, columns)];
      java.util.Arrays.fill(start, value);
      return add(name, rows, columns, start, false);
    }

    /** Given numbers, which do not decay. */
    int given(String name, int rows, int columns, float[] start) {
      return add(name, rows, columns, start.clone(), false);
    }

    private int add(String name, int rows, int columns, float[] start, boolean decays) {
      int at = size;
      tensors.add(new Tensor(name, at, rows, columns, decays));
      starts.add(start);
      size = Math.addExact(size, start.length);
      return at;
    }

    Parameters build() {
      float[] values = new float[size];
      for (int i = 0; i < starts.size(); i++) {
        System.arraycopy(starts.get(i), 0, values, tensors.get(i).at(), starts.get(i).length);
      }
      return new Parameters(tensors, values);
    }
  }
}
