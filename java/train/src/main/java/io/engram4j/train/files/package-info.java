/**
 * Model files of what was trained: Engram layers in V4.1's and the paper's layout, a Llama around
 * them, and back.
 *
 * <p>Uses {@code model} and {@code table}, and hf for files.
 *
 * <p>Trains nothing.
 */
@NullMarked
package io.engram4j.train.files;

import org.jspecify.annotations.NullMarked;
