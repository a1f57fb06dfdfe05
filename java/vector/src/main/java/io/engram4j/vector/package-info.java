/**
 * The {@code vector} backend: the stages on the Vector API.
 *
 * <p>Uses the core and {@code jdk.incubator.vector}.
 *
 * <p>Links to nothing; what it has not falls back to plain Java.
 */
package io.engram4j.vector;
