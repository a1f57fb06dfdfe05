/**
 * A model as data: configuration, token map, hashing, layout of rows, hidden states.
 *
 * <p>Uses {@code host} to read and write files, and {@code format}.
 *
 * <p>Holds no tensors and runs nothing.
 */
@NullMarked
package io.engram4j.model;

import org.jspecify.annotations.NullMarked;
