/**
 * Meters of a model: what its tables, caches, memos and prefetches do.
 *
 * <p>Uses the public packages of the core, and Micrometer.
 *
 * <p>Measures nothing itself: the core counts.
 */
@NullMarked
package io.engram4j.micrometer;

import org.jspecify.annotations.NullMarked;
