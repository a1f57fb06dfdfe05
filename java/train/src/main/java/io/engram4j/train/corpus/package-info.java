/**
 * What models are trained on and asked: texts, facts of WordNet in several phrasings, passages with
 * questions, and the probes by which a trained model is analysed.
 *
 * <p>Uses {@code data}, and {@code model} for batches.
 *
 * <p>Knows no trainer.
 */
@NullMarked
package io.engram4j.train.corpus;

import org.jspecify.annotations.NullMarked;
