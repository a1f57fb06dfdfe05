/**
 * GGUF files, versions 2 and 3, in one part or split: metadata, and where each tensor lies.
 *
 * <p>Uses nothing but the JDK.
 *
 * <p>Knows no model: which keys and tensors mean what is for those who read checkpoints.
 */
@NullMarked
package io.engram4j.gguf;

import org.jspecify.annotations.NullMarked;
