/**
 * Tables whose rows other machines hold: the manifest and its slices, and the client side of
 * everything that all engines have in common: replicas, deadlines, hedging, and the change from one
 * generation of rows to the next.
 *
 * <p>Uses: core's tables and files, hf for model directories. An engine ({@link
 * io.engram4j.remote.RowEngine}) moves the bytes.
 *
 * <p>Knows no engine by name.
 */
@NullMarked
package io.engram4j.remote;

import org.jspecify.annotations.NullMarked;
