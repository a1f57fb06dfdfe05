/**
 * A small decoder that has Engram layers, forward and back.
 *
 * <p>Uses {@code kernel}, {@code table} and {@code ranks}.
 *
 * <p>Chooses no data and no learning rate.
 */
@NullMarked
package io.engram4j.train.model;

import org.jspecify.annotations.NullMarked;
