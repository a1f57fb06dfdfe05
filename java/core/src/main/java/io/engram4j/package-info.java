/**
 * Models, their Engram layers, sequences and batches: what an engine calls.
 *
 * <p>May use every package of this module; none may use this one.
 *
 * <p>Computes nothing itself: a stage is a kernel's work, their order is in {@code run}.
 */
@NullMarked
package io.engram4j;

import org.jspecify.annotations.NullMarked;
