/**
 * Engram layers as blocks of DJL.
 *
 * <p>Uses what the core exports to users, and DJL.
 *
 * <p>Has no arithmetic of its own.
 */
@NullMarked
package io.engram4j.djl;

import org.jspecify.annotations.NullMarked;
