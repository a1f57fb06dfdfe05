/**
 * The conformance suite and the golden files, which any backend can be held to; and runs that use,
 * mistreat and fail a small model for as long as one likes.
 *
 * <p>Uses the core and {@code hf}.
 *
 * <p>Knows no backend but plain Java.
 */
@NullMarked
package io.engram4j.tck;

import org.jspecify.annotations.NullMarked;
