/**
 * Carries the C library for osx on x86_64.
 *
 * <p>Uses {@code bridge}, which loads it.
 *
 * <p>Has no code but the name of its resource.
 */
@NullMarked
package io.engram4j.natives.osx_x86_64;

import org.jspecify.annotations.NullMarked;
