package io.engram4j.weights;

import io.engram4j.table.Table;
import org.jspecify.annotations.Nullable;

/**
 * The tensors of one Engram layer.
 *
 * @param table the embedding table
 * @param projection rows to key and value
 * @param gate weights of the gate
 * @param conv the short convolution, or null where the variant has none
 */
public record LayerWeights(
    Table table, Projection projection, GateWeights gate, @Nullable ConvWeights conv) {}
