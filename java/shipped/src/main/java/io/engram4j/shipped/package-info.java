/**
 * The model that this project ships.
 *
 * <p>Uses nothing.
 *
 * <p>Knows nothing of what is in the files.
 */
@NullMarked
package io.engram4j.shipped;

import org.jspecify.annotations.NullMarked;
