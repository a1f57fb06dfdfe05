/**
 * A step: its windows, buffers, prefetch and threads, and the one order of stages.
 *
 * <p>Uses {@code kernel}, {@code model}, {@code table}, {@code weights}, {@code host} and {@code
 * work}.
 *
 * <p>Has no arithmetic of a stage, and does not know how rows come into memory.
 */
@NullMarked
package io.engram4j.run;

import org.jspecify.annotations.NullMarked;
