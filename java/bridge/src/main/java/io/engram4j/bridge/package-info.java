/**
 * Loading a library in C, and the structs that kernels take.
 *
 * <p>Uses {@code io.engram4j.core} and the bindings.
 *
 * <p>Calls no stage: those are {@code cpu} and {@code cuda}.
 */
@NullMarked
package io.engram4j.bridge;

import org.jspecify.annotations.NullMarked;
