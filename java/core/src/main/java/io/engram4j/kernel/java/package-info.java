/**
 * Every stage in plain Java: what all other backends are held to.
 *
 * <p>Uses {@code kernel} and what that uses, and {@code format}.
 *
 * <p>Has no way of its own to read a table: rows come from its segments.
 */
@NullMarked
package io.engram4j.kernel.java;

import org.jspecify.annotations.NullMarked;
