package io.engram4j.train;

import io.engram4j.model.EngramConfig;
import io.engram4j.model.LayerLayout;
import io.engram4j.model.TokenMap;
import io.engram4j.train.data.Bpe;
import io.engram4j.train.model.DecoderShape;
import io.engram4j.train.model.EngramForm;
import io.engram4j.train.model.EngramMemory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;

/**
 * The sizes of a small decoder with Engram, and how it is trained. Immutable.
 *
 * @param shape of the decoder; a text may be too short for a tokenizer of that many ids
 * @param engramLayers which have a memory; none for a dense model
 * @param rows of a column, about; 1 for one row that all n-grams share
 * @param rowHeads columns of each order of n-grams
 * @param rowWidth elements of a row
 * @param options of the trainer
 */
public record Recipe(
    DecoderShape shape,
    List<Integer> engramLayers,
    long rows,
    int rowHeads,
    int rowWidth,
    TrainOptions options) {
  private static final int MAX_NGRAM = 4;
  private static final int ORDERS = MAX_NGRAM - 1;

  public Recipe {
    engramLayers = List.copyOf(engramLayers);
    if (rows < 1 || rowHeads < 1 || rowWidth < 1) {
      throw new IllegalArgumentException(
          rows + " rows of " + rowWidth + ", " + rowHeads + " columns an order");
    }
  }

  /** Returns the recipe of the model that this project ships: 8.2 million tokens. */
  public static Recipe shipped() {
    return new Recipe(
        new DecoderShape(4096, 96, 6, 4, 256, 4, 128),
        List.of(1, 3),
        8000,
        4,
        32,
        TrainOptions.defaults(4000).withBatch(16, 4).withRate(1e-2f, 30));
  }

  /** Returns the recipe of a model that learns something in a minute: 410,000 tokens. */
  public static Recipe small() {
    return new Recipe(
        new DecoderShape(2048, 64, 6, 4, 192, 1, 128),
        List.of(1, 3),
        5000,
        2,
        32,
        TrainOptions.defaults(200));
  }

  /** Returns the same without memory, but wider by what Engram's projections cost a token. */
  public Recipe dense() {
    long saved = (long) engramLayers.size() * (shape.streams() + 1) * shape.width() * rowElements();
    long perInner = 3L * shape.width() * shape.layers();
    int wider = shape.inner() + (int) ((saved / perInner / 16 + 1) * 16);
    return new Recipe(
        shape.withInner(wider, shape.experts(), shape.expertInner()),
        List.of(),
        rows,
        rowHeads,
        rowWidth,
        options);
  }

  private long rowElements() {
    return (long) ORDERS * rowHeads * rowWidth;
  }

  /** Returns the same, trained otherwise. */
  public Recipe with(TrainOptions other) {
    return new Recipe(shape, engramLayers, rows, rowHeads, rowWidth, other);
  }

  /** Returns the same with another decoder. */
  public Recipe with(DecoderShape other) {
    return new Recipe(other, engramLayers, rows, rowHeads, rowWidth, options);
  }

  /** Returns the same with other tables. */
  public Recipe withRows(long other) {
    return new Recipe(shape, engramLayers, other, rowHeads, rowWidth, options);
  }

  /** Returns about how many numbers the tables have. */
  public long tableParameters() {
    return engramLayers.size() * rows * rowElements();
  }

  /** Returns the decoder's shape, for the tokenizer that there is. */
  public DecoderShape shape(Bpe bpe) {
    return shape.withVocabulary(bpe.size());
  }

  /** Returns the decoder's memory, in V4.1's form. */
  public EngramMemory memory(Bpe bpe) {
    if (engramLayers.isEmpty()) {
      return EngramMemory.NONE;
    }
    TokenMap map = TokenMap.build(bpe);
    EngramConfig.Builder config =
        EngramConfig.builder()
            .family(EngramForm.V41.family())
            .hiddenSize(shape.width())
            .branches(shape.streams())
            .layerIds(engramLayers)
            .ngrams(MAX_NGRAM, rows)
            .heads(rowHeads, rowWidth)
            .padTokenId(Bpe.PAD)
            .normEps(EngramForm.V41.eps())
            .compressedSize(OptionalInt.of(map.distinct()));
    if (rows == 1) { // which no prime gives
      config.layouts(oneRow());
    }
    return EngramMemory.of(EngramForm.V41, config.build(), map);
  }

  private List<LayerLayout> oneRow() {
    long[] sizes = new long[ORDERS * rowHeads];
    long[] offsets = new long[sizes.length];
    Arrays.fill(sizes, 1);
    Arrays.setAll(offsets, i -> i);
    List<LayerLayout> layouts = new ArrayList<>();
    for (int layer : engramLayers) {
      long[] multipliers = {1, 3, 5, 7};
      layouts.add(LayerLayout.of(layer, MAX_NGRAM, rowHeads, sizes, offsets, multipliers));
    }
    return layouts;
  }
}
