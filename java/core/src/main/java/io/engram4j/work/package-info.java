/**
 * Work that several threads share, and what becomes of failures.
 *
 * <p>Uses the JDK alone.
 *
 * <p>Knows nothing of tables, kernels or models.
 */
@NullMarked
package io.engram4j.work;

import org.jspecify.annotations.NullMarked;
