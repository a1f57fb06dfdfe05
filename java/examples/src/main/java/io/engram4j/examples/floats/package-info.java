/**
 * A small language model on {@code float[]}, complete from tokenizer to sampling, that takes Engram
 * layers in: what an engine such as llama3.java changes.
 *
 * <p>Uses what users have.
 *
 * <p>Nothing depends on it.
 */
@NullMarked
package io.engram4j.examples.floats;

import org.jspecify.annotations.NullMarked;
