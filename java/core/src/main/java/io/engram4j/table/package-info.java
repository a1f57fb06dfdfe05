/**
 * Tables of rows: their types, where they lie, what replaces or seeds them.
 *
 * <p>Uses {@code model}, {@code format} and {@code host}.
 *
 * <p>Does not open files of rows: that is {@code table.io}.
 */
@NullMarked
package io.engram4j.table;

import org.jspecify.annotations.NullMarked;
