/**
 * The {@code vector} backend: the stages on the Vector API.
 *
 * <p>Uses the core and {@code jdk.incubator.vector}.
 *
 * <p>Links to nothing; what it has not falls back to plain Java.
 */
@NullMarked
package io.engram4j.vector;

import org.jspecify.annotations.NullMarked;
