/**
 * The trainer: steps, learning rates, checkpoints, evaluation.
 *
 * <p>Uses {@code model}, {@code ranks}, {@code table}, {@code data}, {@code corpus} and {@code
 * files}.
 *
 * <p>Knows no kernel.
 */
@NullMarked
package io.engram4j.train;

import org.jspecify.annotations.NullMarked;
