/**
 * What is trained on: a byte-level BPE and its training, documents packed into sequences.
 *
 * <p>Uses {@code model} for batches.
 *
 * <p>Knows no optimizer.
 */
@NullMarked
package io.engram4j.train.data;

import org.jspecify.annotations.NullMarked;
