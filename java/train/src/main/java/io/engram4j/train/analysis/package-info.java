/**
 * What a trained model's memory knows: targets by kind with the memory on and off, gates, what
 * earlier layers would answer, likeness of layers, and the runs of the paper at a small size.
 *
 * <p>Uses the trainer, {@code corpus} and {@code model}.
 *
 * <p>Draws nothing.
 */
@NullMarked
package io.engram4j.train.analysis;

import org.jspecify.annotations.NullMarked;
