/**
 * Number formats: bf16, half, e4m3, e8m0.
 *
 * <p>Uses the JDK alone.
 *
 * <p>Knows no tensors, rows or files.
 */
@NullMarked
package io.engram4j.format;

import org.jspecify.annotations.NullMarked;
