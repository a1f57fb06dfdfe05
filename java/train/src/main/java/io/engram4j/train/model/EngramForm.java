package io.engram4j.train.model;

import io.engram4j.weights.GateWeights.ZeroRule;

/** The two forms of Engram that can be trained (docs/spec.md, section 1). */
public enum EngramForm {
  /** One projection without bias, no convolution, eps 1e-20. */
  V41("DeepSeek-V4.1", ZeroRule.COPYSIGN, 1e-20),
  /** Projections with bias, a convolution of four taps, eps 2^-23. */
  PAPER("paper", ZeroRule.SIGNUM, 0x1p-23);

  static final int KERNEL = 4;
  static final double CONV_EPS = 1e-5;

  private final String family;
  private final ZeroRule zeroRule;
  private final double eps;

  EngramForm(String family, ZeroRule zeroRule, double eps) {
    this.family = family;
    this.zeroRule = zeroRule;
    this.eps = eps;
  }

  /** Returns the family of models by whose name configurations know the form. */
  public String family() {
    return family;
  }

  /** Returns what a dot product of zero means. */
  public ZeroRule zeroRule() {
    return zeroRule;
  }

  /** Returns the epsilon of the gate's norms. */
  public double eps() {
    return eps;
  }

  /** Returns the taps of the convolution, 0 for none. */
  public int kernel() {
    return this == PAPER ? KERNEL : 0;
  }
}
