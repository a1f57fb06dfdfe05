/**
 * The index of a set-associative cache, under the row cache and the memo.
 *
 * <p>Uses the JDK alone.
 *
 * <p>Knows nothing of rows or projections.
 */
@NullMarked
package io.engram4j.cache;

import org.jspecify.annotations.NullMarked;
