package io.engram4j.weights;

/**
 * What the gate of one layer needs (docs/spec.md, section 7): per branch the element-wise product
 * of the two weights that occur as a product (V4.1's query and key weight, the paper's two norm
 * weights), and each for itself, for those who round in between, the epsilon of the norms, and what
 * a dot product of exactly zero means. Immutable and thread-safe.
 */
public final class GateWeights {
  /** What the signed root makes of a zero. */
  public enum ZeroRule {
    /** Keeps the sign of the zero: V4.1, where the gate is never exactly one half. */
    COPYSIGN,
    /** Gives zero, so that the gate is one half: the paper's demo. */
    SIGNUM
  }

  private final int branches;
  private final int hiddenSize;
  private final float[] query;
  private final float[] key;
  private final float[] product;
  private final float eps;
  private final ZeroRule zeroRule;

  /**
   * Multiplies the weights.
   *
   * @param queryWeight [branches, hiddenSize], of the stream
   * @param keyWeight [branches, hiddenSize], of the key
   * @throws IllegalArgumentException if a length is not that of the shape
   */
  public GateWeights(
      int branches,
      int hiddenSize,
      float[] queryWeight,
      float[] keyWeight,
      double eps,
      ZeroRule zeroRule) {
    int size = Math.multiplyExact(branches, hiddenSize);
    if (queryWeight.length != size || keyWeight.length != size) {
      throw new IllegalArgumentException(
          "gate weights have "
              + queryWeight.length
              + " and "
              + keyWeight.length
              + " elements, but "
              + branches
              + " branches of "
              + hiddenSize
              + " take "
              + size);
    }
    this.branches = branches;
    this.hiddenSize = hiddenSize;
    this.query = queryWeight.clone();
    this.key = keyWeight.clone();
    this.product = new float[size];
    for (int i = 0; i < size; i++) {
      product[i] = queryWeight[i] * keyWeight[i];
    }
    this.eps = (float) eps;
    this.zeroRule = zeroRule;
  }

  /** Returns the number of branches. */
  public int branches() {
    return branches;
  }

  /** Returns the width of a branch. */
  public int hiddenSize() {
    return hiddenSize;
  }

  /** Returns the weight of the stream at an element. */
  public float query(int branch, int element) {
    return query[branch * hiddenSize + element];
  }

  /** Returns the weight of the key at an element. */
  public float key(int branch, int element) {
    return key[branch * hiddenSize + element];
  }

  /** Returns the product of the two weights at an element. */
  public float product(int branch, int element) {
    return product[branch * hiddenSize + element];
  }

  /** Returns the epsilon of both norms, rounded to float32 as the reference holds it. */
  public float eps() {
    return eps;
  }

  /** Returns what a zero dot product means. */
  public ZeroRule zeroRule() {
    return zeroRule;
  }
}
