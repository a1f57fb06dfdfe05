package io.engram4j.model;

import java.util.HashSet;
import java.util.List;
import java.util.OptionalInt;

/**
 * The configuration of a model's Engram layers (specification, section 1). Immutable; the
 * constructor checks every field.
 *
 * @param variant which of the two published forms the layers have
 * @param hiddenSize width of one branch of the hidden stream
 * @param branches parallel branches of the hidden stream ({@code hc_mult})
 * @param layerIds the layers that have Engram, 0-based, in the order of the configuration file
 * @param maxNgram longest n-gram; orders are 2 to this
 * @param vocabSizes per n-gram order, where the search for primes starts
 * @param headsPerNgram tables per order
 * @param headDim elements of a row
 * @param padTokenId raw id of the padding token
 * @param seed seed of the multipliers
 * @param normEps epsilon of the gate's norms
 * @param convKernel taps of the short convolution, 0 for none
 * @param imageTokenId raw id that marks image positions, where the model has one
 * @param compressedSize the published number of compressed ids, where there is one
 * @param tableRows the published number of rows per layer, or empty
 */
public record EngramConfig(
    Variant variant,
    int hiddenSize,
    int branches,
    List<Integer> layerIds,
    int maxNgram,
    List<Long> vocabSizes,
    int headsPerNgram,
    int headDim,
    int padTokenId,
    long seed,
    double normEps,
    int convKernel,
    OptionalInt imageTokenId,
    OptionalInt compressedSize,
    List<Long> tableRows) {

  /** The two published forms of an Engram layer. */
  public enum Variant {
    /** DeepSeek-V4.1: fp8 rows, one fused projection, no convolution. */
    V41,
    /** The paper's demo: a projection with bias per branch, RMSNorm weights, short convolution. */
    PAPER
  }

  /** Bounds the prime search: 65,536 columns are 1,300 times what V4.1 has. */
  private static final int MAX_COLUMNS = 1 << 16;

  public EngramConfig {
    layerIds = List.copyOf(layerIds);
    vocabSizes = List.copyOf(vocabSizes);
    tableRows = List.copyOf(tableRows);
    inRange("hidden size", hiddenSize, 1, 1 << 24);
    inRange("branches", branches, 1, 1 << 10);
    inRange("max n-gram", maxNgram, 2, 64);
    inRange("heads per n-gram", headsPerNgram, 1, MAX_COLUMNS);
    inRange("head dim", headDim, 1, 1 << 20);
    inRange("pad token id", padTokenId, 0, Integer.MAX_VALUE);
    inRange("seed", seed, 0, 1L << 62);
    inRange("convolution kernel", convKernel, 0, 1 << 10);
    inRange("layers", layerIds.size(), 1, 1 << 10);
    if (!(normEps > 0) || Double.isInfinite(normEps)) {
      throw new IllegalArgumentException("norm eps is " + normEps + ", not a positive number");
    }
    HashSet<Integer> distinct = new HashSet<>();
    for (int layer : layerIds) {
      inRange("layer id", layer, 0, 1 << 20);
      if (!distinct.add(layer)) {
        throw new IllegalArgumentException("layer id " + layer + " stands twice");
      }
    }
    if (vocabSizes.size() != maxNgram - 1) {
      throw new IllegalArgumentException(
          "there are "
              + vocabSizes.size()
              + " vocabulary sizes for "
              + (maxNgram - 1)
              + " n-gram orders");
    }
    for (long size : vocabSizes) {
      inRange("vocabulary size", size, 1, (1L << 32) - (1 << 24));
    }
    inRange(
        "columns of all layers",
        (long) layerIds.size() * (maxNgram - 1) * headsPerNgram,
        1,
        MAX_COLUMNS);
    inRange("row width", (long) (maxNgram - 1) * headsPerNgram * headDim, 1, 1 << 26);
    inRange("key and value width", (branches + 1L) * hiddenSize, 1, 1 << 28);
    if (compressedSize.isPresent()) {
      inRange("compressed vocabulary size", compressedSize.getAsInt(), 1, (1 << 30) - 1);
    }
    if (!tableRows.isEmpty() && tableRows.size() != layerIds.size()) {
      throw new IllegalArgumentException(
          "there are " + tableRows.size() + " row counts for " + layerIds.size() + " layers");
    }
  }

  private static void inRange(String what, long value, long low, long high) {
    if (value < low || value > high) {
      throw new IllegalArgumentException(
          what + " is " + value + ", not between " + low + " and " + high);
    }
  }

  /** Returns the number of rows that a token reads per layer. */
  public int columns() {
    return (maxNgram - 1) * headsPerNgram;
  }

  /** Returns the elements of a token's rows together, the input width of the projection. */
  public int rowWidth() {
    return columns() * headDim;
  }

  /** Returns the output width of the projection: a key per branch, then the value. */
  public int kvWidth() {
    return (branches + 1) * hiddenSize;
  }

  /** Returns the elements of a token's hidden stream, all branches. */
  public int streamWidth() {
    return branches * hiddenSize;
  }

  /** Returns the number of tokens between the taps of the short convolution. */
  public int convDilation() {
    return maxNgram;
  }
}
