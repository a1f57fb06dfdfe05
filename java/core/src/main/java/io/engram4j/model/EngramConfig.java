package io.engram4j.model;

import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.OptionalInt;

/**
 * The configuration of a model's Engram layers (docs/spec.md, section 1), made by name:
 *
 * <pre>{@code
 * EngramConfig config = EngramConfig.builder().hiddenSize(5120).branches(4) ... .build();
 * }</pre>
 *
 * <p>Immutable and thread-safe; {@link Builder#build} checks every field.
 */
public final class EngramConfig {
  /** Bounds the prime search: 65,536 columns are 1,300 times what V4.1 has. */
  private static final int MAX_COLUMNS = 1 << 16;

  private final String family;
  private final int hiddenSize;
  private final int branches;
  private final List<Integer> layerIds;
  private final int maxNgram;
  private final List<Long> vocabSizes;
  private final int headsPerNgram;
  private final int headDim;
  private final int padTokenId;
  private final long seed;
  private final RowHashing hashing;
  private final double normEps;
  private final int convKernel;
  private final int convDilation;
  private final Dtype streamType;
  private final OptionalInt imageTokenId;
  private final OptionalInt barrierTokenId;
  private final OptionalInt compressedSize;
  private final List<Long> tableRows;
  private final List<LayerLayout> layouts;

  private EngramConfig(Builder from) {
    this.family = from.family;
    this.hiddenSize = inRange("hidden size", from.hiddenSize, 1, 1 << 24);
    this.branches = inRange("branches", from.branches, 1, 1 << 10);
    this.layerIds = List.copyOf(from.layerIds);
    this.maxNgram = inRange("max n-gram", from.maxNgram, 2, 64);
    this.vocabSizes = List.copyOf(from.vocabSizes);
    this.headsPerNgram = inRange("heads per n-gram", from.headsPerNgram, 1, MAX_COLUMNS);
    this.headDim = inRange("head dim", from.headDim, 1, 1 << 20);
    this.padTokenId = inRange("pad token id", from.padTokenId, 0, Integer.MAX_VALUE);
    this.seed = from.seed;
    this.hashing = from.hashing;
    this.normEps = from.normEps;
    this.convKernel = inRange("convolution kernel", from.convKernel, 0, 1 << 10);
    this.convDilation = inRange("convolution dilation", from.convDilation, 0, 1 << 10);
    this.streamType = from.streamType;
    this.imageTokenId = from.imageTokenId;
    this.barrierTokenId = from.barrierTokenId;
    this.compressedSize = from.compressedSize;
    this.tableRows = List.copyOf(from.tableRows);
    this.layouts = List.copyOf(from.layouts);
    check();
  }

  private void check() {
    requireRange("seed", seed, 0, 1L << 62);
    requireRange("layers", layerIds.size(), 1, 1 << 10);
    if (!(normEps > 0) || Double.isInfinite(normEps)) {
      throw new IllegalArgumentException("norm eps is " + normEps + ", not a positive number");
    }
    if (convKernel > 0 && convDilation < 1) {
      throw new IllegalArgumentException(
          "a convolution of " + convKernel + " taps has dilation " + convDilation);
    }
    HashSet<Integer> distinct = new HashSet<>();
    for (int layer : layerIds) {
      requireRange("layer id", layer, 0, 1 << 20);
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
      requireRange("vocabulary size", size, 1, (1L << 32) - (1 << 24));
    }
    long orders = maxNgram - 1L;
    requireRange("columns of all layers", layerIds.size() * orders * headsPerNgram, 1, MAX_COLUMNS);
    requireRange("row width", orders * headsPerNgram * headDim, 1, 1 << 26);
    requireRange("key and value width", (branches + 1L) * hiddenSize, 1, 1 << 28);
    if (compressedSize.isPresent()) {
      requireRange("compressed vocabulary size", compressedSize.getAsInt(), 1, (1 << 30) - 1);
    }
    if (!tableRows.isEmpty() && tableRows.size() != layerIds.size()) {
      throw new IllegalArgumentException(
          "there are " + tableRows.size() + " row counts for " + layerIds.size() + " layers");
    }
    if (!layouts.isEmpty() && layouts.size() != layerIds.size()) {
      throw new IllegalArgumentException(
          "there are " + layouts.size() + " layouts for " + layerIds.size() + " layers");
    }
    for (int i = 0; i < layouts.size(); i++) {
      LayerLayout layout = layouts.get(i);
      if (layout.layerId() != layerIds.get(i)
          || layout.maxNgram() != maxNgram
          || layout.headsPerNgram() != headsPerNgram) {
        throw new IllegalArgumentException(
            "a layout of layer "
                + layout.layerId()
                + " with "
                + layout.headsPerNgram()
                + " heads for n-grams up to "
                + layout.maxNgram()
                + " does not fit layer "
                + layerIds.get(i));
      }
    }
  }

  private static int inRange(String what, int value, int low, int high) {
    requireRange(what, value, low, high);
    return value;
  }

  private static void requireRange(String what, long value, long low, long high) {
    if (value < low || value > high) {
      throw new IllegalArgumentException(
          what + " is " + value + ", not between " + low + " and " + high);
    }
  }

  /** Begins a configuration. */
  public static Builder builder() {
    return new Builder();
  }

  /** Returns the family of models, such as {@code DeepSeek-V4.1}; for people. */
  public String family() {
    return family;
  }

  /** Returns the width of one branch of the hidden stream. */
  public int hiddenSize() {
    return hiddenSize;
  }

  /** Returns the number of parallel branches of the hidden stream ({@code hc_mult}). */
  public int branches() {
    return branches;
  }

  /** Returns the layers that have Engram, 0-based, in the order of the configuration file. */
  public List<Integer> layerIds() {
    return layerIds;
  }

  /** Returns the longest n-gram; orders are 2 to this. */
  public int maxNgram() {
    return maxNgram;
  }

  /** Returns per n-gram order where the search for primes starts. */
  public List<Long> vocabSizes() {
    return vocabSizes;
  }

  /** Returns the number of tables per order. */
  public int headsPerNgram() {
    return headsPerNgram;
  }

  /** Returns the elements of a row. */
  public int headDim() {
    return headDim;
  }

  /** Returns the raw id that stands where the look-back is blocked, or before the sequence. */
  public int padTokenId() {
    return padTokenId;
  }

  /** Returns the seed of the multipliers. */
  public long seed() {
    return seed;
  }

  /** Returns how ids become row ids. */
  public RowHashing hashing() {
    return hashing;
  }

  /** Returns the epsilon of the gate's norms. */
  public double normEps() {
    return normEps;
  }

  /** Returns the taps of the short convolution, 0 for none. */
  public int convKernel() {
    return convKernel;
  }

  /** Returns the number of tokens between the taps of the short convolution. */
  public int convDilation() {
    return convDilation;
  }

  /** Returns the type in which the reference keeps the hidden stream: F32 or BF16. */
  public Dtype streamType() {
    return streamType;
  }

  /** Returns the raw id of image positions: they get no memory, and the look-back stops there. */
  public OptionalInt imageTokenId() {
    return imageTokenId;
  }

  /** Returns the raw id at which the look-back stops; the token itself gets memory. */
  public OptionalInt barrierTokenId() {
    return barrierTokenId;
  }

  /** Returns the published number of compressed ids, where there is one. */
  public OptionalInt compressedSize() {
    return compressedSize;
  }

  /** Returns the published number of rows of each layer's table, or an empty list. */
  public List<Long> tableRows() {
    return tableRows;
  }

  /** Returns the layouts that a file gave, or an empty list where they are computed. */
  public List<LayerLayout> layouts() {
    return layouts;
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

  /** Collects the fields of a configuration. For one thread. */
  public static final class Builder {
    private String family = "own";
    private int hiddenSize;
    private int branches;
    private List<Integer> layerIds = List.of();
    private int maxNgram;
    private List<Long> vocabSizes = List.of();
    private int headsPerNgram;
    private int headDim;
    private int padTokenId;
    private long seed;
    private RowHashing hashing = RowHashing.NUMPY_DRAW;
    private double normEps = 1e-20;
    private int convKernel;
    private int convDilation;
    private Dtype streamType = Dtype.BF16;
    private OptionalInt imageTokenId = OptionalInt.empty();
    private OptionalInt barrierTokenId = OptionalInt.empty();
    private OptionalInt compressedSize = OptionalInt.empty();
    private List<Long> tableRows = List.of();
    private List<LayerLayout> layouts = List.of();

    private Builder() {}

    /** Names the family of models. */
    public Builder family(String value) {
      this.family = value;
      return this;
    }

    /** Sets the width of one branch of the hidden stream. */
    public Builder hiddenSize(int value) {
      this.hiddenSize = value;
      return this;
    }

    /** Sets the number of parallel branches of the hidden stream. */
    public Builder branches(int value) {
      this.branches = value;
      return this;
    }

    /** Sets the layers that have Engram, 0-based. */
    public Builder layerIds(List<Integer> value) {
      this.layerIds = value;
      return this;
    }

    /** Sets the longest n-gram, and where each order's search for primes starts. */
    public Builder ngrams(int longest, List<Long> sizes) {
      this.maxNgram = longest;
      this.vocabSizes = sizes;
      return this;
    }

    /** Sets the longest n-gram, and where the search for primes starts for all orders. */
    public Builder ngrams(int longest, long size) {
      return ngrams(longest, Collections.nCopies(Math.max(0, longest - 1), size));
    }

    /** Sets the number of tables per order, and the elements of their rows. */
    public Builder heads(int perNgram, int dim) {
      this.headsPerNgram = perNgram;
      this.headDim = dim;
      return this;
    }

    /** Sets the raw id of the padding token, 0 without this. */
    public Builder padTokenId(int value) {
      this.padTokenId = value;
      return this;
    }

    /** Sets the seed of the multipliers, 0 without this. */
    public Builder seed(long value) {
      this.seed = value;
      return this;
    }

    /** Sets how ids become row ids, NumPy's draw without this. */
    public Builder hashing(RowHashing value) {
      this.hashing = value;
      return this;
    }

    /** Sets the epsilon of the gate's norms, 1e-20 without this. */
    public Builder normEps(double value) {
      this.normEps = value;
      return this;
    }

    /** Sets taps and dilation of the short convolution; without this there is none. */
    public Builder conv(int kernel, int dilation) {
      this.convKernel = kernel;
      this.convDilation = dilation;
      return this;
    }

    /** Sets the type of the reference's hidden stream, BF16 without this. */
    public Builder streamType(Dtype value) {
      this.streamType = value;
      return this;
    }

    /** Sets the raw id of image positions. */
    public Builder imageTokenId(OptionalInt value) {
      this.imageTokenId = value;
      return this;
    }

    /** Sets the raw id at which the look-back stops. */
    public Builder barrierTokenId(OptionalInt value) {
      this.barrierTokenId = value;
      return this;
    }

    /** Sets the published number of compressed ids, against which a token map is checked. */
    public Builder compressedSize(OptionalInt value) {
      this.compressedSize = value;
      return this;
    }

    /**
     * Sets each layer's multipliers, sizes and offsets, which a file gives: without this they are
     * computed. The starts of prime searches and the seed are then not used.
     */
    public Builder layouts(List<LayerLayout> value) {
      this.layouts = value;
      return this;
    }

    /** Sets the published number of rows of each layer's table, which primes must not exceed. */
    public Builder tableRows(List<Long> value) {
      this.tableRows = value;
      return this;
    }

    /**
     * Makes the configuration.
     *
     * @throws IllegalArgumentException if a field is missing or out of range
     */
    public EngramConfig build() {
      return new EngramConfig(this);
    }
  }
}
