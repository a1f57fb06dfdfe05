/**
 * Several processes that train one model: how they exchange, what each owns of the tables, and how
 * what they computed becomes one step.
 *
 * <p>Uses {@code table} and the core's files and memory.
 *
 * <p>Knows no model.
 */
@NullMarked
package io.engram4j.train.ranks;

import org.jspecify.annotations.NullMarked;
