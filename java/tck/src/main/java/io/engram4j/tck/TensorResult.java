package io.engram4j.tck;

/**
 * How one tensor compares with the truth.
 *
 * @param tensor its name
 * @param elements how many elements were compared
 * @param measure what the error is: {@code exact} counts elements that differ, {@code norm} is ||x
 *     - ref|| / ||ref||, {@code abs} the largest difference, {@code ulp} the largest number of bf16
 *     steps, {@code ignored} says that the tensor is none that can be compared
 * @param error the error, NaN where a NaN stands against a number
 * @param bound the largest error that passes
 */
public record TensorResult(
    String tensor, long elements, String measure, double error, double bound) {
  /** Returns whether the error is within the bound. */
  public boolean passed() {
    return error <= bound; // false for NaN
  }
}
