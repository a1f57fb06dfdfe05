/**
 * Carries the C library for windows on aarch_64.
 *
 * <p>Uses {@code bridge}, which loads it.
 *
 * <p>Has no code but the name of its resource.
 */
@NullMarked
package io.engram4j.natives.windows_aarch_64;

import org.jspecify.annotations.NullMarked;
