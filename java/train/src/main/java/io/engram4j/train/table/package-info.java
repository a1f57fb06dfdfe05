/**
 * Tables whose rows learn: rows beside their optimizer's state, the gradients of a step, the rules
 * by which they change rows.
 *
 * <p>Uses the core's number formats and files.
 *
 * <p>Knows no model.
 */
@NullMarked
package io.engram4j.train.table;

import org.jspecify.annotations.NullMarked;
