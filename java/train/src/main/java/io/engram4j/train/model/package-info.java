/**
 * A small decoder that has Engram layers, forward and back.
 *
 * <p>Uses {@code kernel} and {@code table}.
 *
 * <p>Chooses no data and no learning rate.
 */
@NullMarked
package io.engram4j.train.model;

import org.jspecify.annotations.NullMarked;
