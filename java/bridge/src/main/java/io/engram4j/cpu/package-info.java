/**
 * The {@code cpu} backend: every stage in C, at the best tier that the CPU has.
 *
 * <p>Uses {@code bridge} and the bindings, and of {@code os} the AMX tiles.
 *
 * <p>Knows no {@code cuda}.
 */
@NullMarked
package io.engram4j.cpu;

import org.jspecify.annotations.NullMarked;
