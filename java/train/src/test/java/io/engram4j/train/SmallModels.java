package io.engram4j.train;

import io.engram4j.model.EngramConfig;
import io.engram4j.model.LayerLayout;
import io.engram4j.model.TokenMap;
import io.engram4j.train.model.Decoder;
import io.engram4j.train.model.DecoderShape;
import io.engram4j.train.model.EngramForm;
import io.engram4j.train.model.EngramMemory;
import io.engram4j.train.table.RowFormat;
import io.engram4j.train.table.RowOptimizer;
import io.engram4j.train.table.TableShape;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;

/** Decoders for tests. */
public final class SmallModels {
  private SmallModels() {}

  /**
   * The Engram layers of a decoder: 2- to 4-grams, two heads of 32.
   *
   * @param rows of each column, at least; 1 for one row alone
   */
  public static EngramMemory memory(
      DecoderShape shape, EngramForm form, TokenMap map, List<Integer> layers, long rows) {
    EngramConfig.Builder config =
        EngramConfig.builder()
            .family(form.family())
            .hiddenSize(shape.width())
            .branches(shape.streams())
            .layerIds(layers)
            .ngrams(4, rows)
            .heads(2, 32)
            .padTokenId(0)
            .normEps(form.eps())
            .compressedSize(OptionalInt.of(map.distinct()));
    if (rows == 1) { // for every n-gram, which no prime gives
      List<LayerLayout> layouts = new ArrayList<>();
      for (int layer : layers) {
        long[] sizes = {1, 1, 1, 1, 1, 1};
        long[] offsets = {0, 1, 2, 3, 4, 5};
        layouts.add(LayerLayout.of(layer, 4, 2, sizes, offsets, new long[] {1, 3, 5, 7}));
      }
      config.layouts(layouts);
    }
    if (form.kernel() > 0) {
      config.conv(form.kernel(), 4);
    }
    return EngramMemory.of(form, config.build(), map);
  }

  /** A decoder with tables in memory. */
  public static Decoder inMemory(DecoderShape shape, EngramMemory memory, long seed) {
    return Decoder.inMemory(shape, memory, TableShape.of(1, 1), seed);
  }

  /** A decoder whose tables lie in a directory, as of a step. */
  public static Decoder inFiles(
      DecoderShape shape, EngramMemory memory, RowFormat format, Path directory, long step)
      throws IOException {
    TableShape like = new TableShape(0, 1, 1, format, RowOptimizer.RmsProp.DEFAULT, 5);
    return Decoder.inFiles(shape, memory, like, directory, step, 1);
  }
}
