/**
 * The tensors of a layer beside its table: projection, gate, convolution.
 *
 * <p>Uses {@code table} for row types, and {@code model}.
 *
 * <p>Multiplies nothing.
 */
@NullMarked
package io.engram4j.weights;

import org.jspecify.annotations.NullMarked;
