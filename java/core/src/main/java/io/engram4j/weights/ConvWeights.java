package io.engram4j.weights;

/**
 * The paper's short convolution (docs/spec.md, section 7.1): RMSNorm per branch, then a depthwise
 * causal convolution over time with gaps of {@code dilation}, then SiLU. Immutable and thread-safe.
 */
public final class ConvWeights {
  private final int branches;
  private final int hiddenSize;
  private final int kernel;
  private final int dilation;
  private final float[] taps;
  private final float[] norm;
  private final double eps;

  /**
   * Copies the weights.
   *
   * @param taps [branches * hiddenSize, kernel]; the last tap meets the current token
   * @param norm [branches, hiddenSize]
   * @throws IllegalArgumentException if a length is not that of the shape
   */
  public ConvWeights(
      int branches,
      int hiddenSize,
      int kernel,
      int dilation,
      float[] taps,
      float[] norm,
      double eps) {
    int channels = Math.multiplyExact(branches, hiddenSize);
    if (taps.length != Math.multiplyExact(channels, kernel) || norm.length != channels) {
      throw new IllegalArgumentException(
          "convolution has "
              + taps.length
              + " taps and "
              + norm.length
              + " norm weights, but "
              + channels
              + " channels take "
              + (long) channels * kernel
              + " and "
              + channels);
    }
    this.branches = branches;
    this.hiddenSize = hiddenSize;
    this.kernel = kernel;
    this.dilation = dilation;
    this.taps = taps.clone();
    this.norm = norm.clone();
    this.eps = eps;
  }

  /** Returns the number of branches. */
  public int branches() {
    return branches;
  }

  /** Returns the width of a branch. */
  public int hiddenSize() {
    return hiddenSize;
  }

  /** Returns the number of channels, branches times width. */
  public int channels() {
    return norm.length;
  }

  /** Returns the number of taps. */
  public int kernel() {
    return kernel;
  }

  /** Returns the number of tokens between taps. */
  public int dilation() {
    return dilation;
  }

  /** Returns how many tokens back the convolution looks. */
  public int reach() {
    return (kernel - 1) * dilation;
  }

  /** Returns the weight of a tap. */
  public float tap(int channel, int tap) {
    return taps[channel * kernel + tap];
  }

  /** Returns the norm weight of a channel. */
  public float norm(int channel) {
    return norm[channel];
  }

  /** Returns the epsilon of the norm. */
  public double eps() {
    return eps;
  }
}
