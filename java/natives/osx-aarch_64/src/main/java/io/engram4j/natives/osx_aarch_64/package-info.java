/**
 * Carries the C library for osx on aarch_64.
 *
 * <p>Uses {@code bridge}, which loads it.
 *
 * <p>Has no code but the name of its resource.
 */
@NullMarked
package io.engram4j.natives.osx_aarch_64;

import org.jspecify.annotations.NullMarked;
