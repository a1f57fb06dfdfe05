/**
 * Engram layers in the models of Jlama.
 *
 * <p>Uses what the core exports to users, {@code hf} and Jlama.
 *
 * <p>Has no arithmetic of its own.
 */
@NullMarked
package io.engram4j.jlama;

import org.jspecify.annotations.NullMarked;
