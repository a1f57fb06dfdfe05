/**
 * The {@code cpu} backend: every stage in C, at the best tier that the CPU has.
 *
 * <p>Uses {@code bridge} and the bindings.
 *
 * <p>Knows neither {@code cuda} nor {@code os}.
 */
package io.engram4j.cpu;
