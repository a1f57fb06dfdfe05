/**
 * Opening tables: packed files, mapping, loading, sharing, reading row by row, the row cache.
 *
 * <p>Uses {@code table}, {@code host}, {@code cache} and {@code work}.
 *
 * <p>Knows no model and no kernel.
 */
@NullMarked
package io.engram4j.table.io;

import org.jspecify.annotations.NullMarked;
