package io.engram4j.weights;

import java.util.List;

/**
 * The projection of a token's rows to a key per branch and a value, as one linear map (V4.1's
 * {@code wkv}) or several side by side (the paper's {@code key_projs} and {@code value_proj}); the
 * outputs follow each other in the order of the parts: key 0, key 1, ..., value. Immutable.
 */
public final class Projection {
  private final List<Linear> parts;
  private final int inputs;
  private final int outputs;

  /**
   * Puts parts side by side.
   *
   * @throws IllegalArgumentException if there are none or they differ in their inputs
   */
  public Projection(List<Linear> parts) {
    if (parts.isEmpty()) {
      throw new IllegalArgumentException("a projection needs at least one part");
    }
    this.parts = List.copyOf(parts);
    this.inputs = parts.getFirst().inputs();
    int sum = 0;
    for (Linear part : parts) {
      if (part.inputs() != inputs) {
        throw new IllegalArgumentException(
            "parts of a projection have " + inputs + " and " + part.inputs() + " inputs");
      }
      sum = Math.addExact(sum, part.outputs());
    }
    this.outputs = sum;
  }

  /**
   * Returns what some of the inputs contribute, on the same memory; see {@link Linear#ofInputs}.
   */
  public Projection ofInputs(int first, int count) {
    return new Projection(parts.stream().map(part -> part.ofInputs(first, count)).toList());
  }

  /** Returns the linear maps in the order of their outputs. */
  public List<Linear> parts() {
    return parts;
  }

  /** Returns the number of inputs, a token's row elements. */
  public int inputs() {
    return inputs;
  }

  /** Returns the number of outputs of all parts. */
  public int outputs() {
    return outputs;
  }
}
