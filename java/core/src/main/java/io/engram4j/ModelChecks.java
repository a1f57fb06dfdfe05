package io.engram4j;

import io.engram4j.model.EngramConfig;
import io.engram4j.model.EngramLayout;
import io.engram4j.model.LayerLayout;
import io.engram4j.model.TokenMap;
import io.engram4j.table.RowOverlay;
import io.engram4j.table.Table;
import io.engram4j.weights.ConvWeights;
import io.engram4j.weights.LayerWeights;
import java.util.ArrayList;
import java.util.List;

/**
 * Whether the parts of a model fit each other: each throws an exception that names both numbers.
 */
final class ModelChecks {
  private ModelChecks() {}

  /** Returns the layouts of all layers, having compared map and weights with them. */
  static List<LayerLayout> layouts(EngramConfig config, TokenMap map, List<LayerWeights> weights) {
    config
        .compressedSize()
        .ifPresent(size -> expect("compressed vocabulary size", map.distinct(), size));
    List<LayerLayout> layouts = EngramLayout.of(config, map.distinct());
    if (!weights.isEmpty()) {
      expect("number of layers' weights", weights.size(), layouts.size());
    }
    for (int i = 0; i < weights.size(); i++) {
      check(config, layouts.get(i), weights.get(i), i);
    }
    return layouts;
  }

  /** Returns what rows that stand in for others must fit. */
  static List<RowOverlay.Shape> shapes(List<LayerLayout> layouts, List<LayerWeights> weights) {
    List<RowOverlay.Shape> shapes = new ArrayList<>();
    for (int i = 0; i < weights.size(); i++) {
      Table table = weights.get(i).table();
      shapes.add(
          new RowOverlay.Shape(
              layouts.get(i).layerId(), table.name(), table.rows(), table.headDim(), table.type()));
    }
    return shapes;
  }

  private static void check(
      EngramConfig config, LayerLayout layout, LayerWeights weights, int index) {
    String layer = "layer " + layout.layerId() + ": ";
    if (!config.tableRows().isEmpty()) {
      expect(layer + "rows of the table", weights.table().rows(), config.tableRows().get(index));
    } else if (config.layouts().isEmpty()) {
      expect(layer + "rows of the table", weights.table().rows(), layout.rows());
    }
    if (layout.rows() > weights.table().rows()) { // a file's own numbers may leave rows unused
      throw new IllegalArgumentException(
          layer
              + "heads reach "
              + layout.rows()
              + " rows, but the table has "
              + weights.table().rows());
    }
    expect(layer + "width of a row", weights.table().headDim(), config.headDim());
    expect(layer + "inputs of the projection", weights.projection().inputs(), config.rowWidth());
    expect(layer + "outputs of the projection", weights.projection().outputs(), config.kvWidth());
    expect(layer + "branches of the gate", weights.gate().branches(), config.branches());
    expect(layer + "width of the gate", weights.gate().hiddenSize(), config.hiddenSize());
    ConvWeights conv = weights.conv();
    expect(
        layer + "taps of the convolution", conv == null ? 0 : conv.kernel(), config.convKernel());
    if (conv != null) {
      expect(layer + "branches of the convolution", conv.branches(), config.branches());
      expect(layer + "width of the convolution", conv.hiddenSize(), config.hiddenSize());
      expect(layer + "dilation of the convolution", conv.dilation(), config.convDilation());
    }
  }

  /** Compares a number with that of the configuration. */
  static void expect(String what, long actual, long expected) {
    if (actual != expected) {
      throw new IllegalArgumentException(
          what + " is " + actual + ", but the configuration says " + expected);
    }
  }
}
