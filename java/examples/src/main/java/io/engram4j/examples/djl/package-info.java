/**
 * A model of DJL's blocks with Engram in it, used through a translator.
 *
 * <p>Uses what users have.
 *
 * <p>Nothing depends on it.
 */
@NullMarked
package io.engram4j.examples.djl;

import org.jspecify.annotations.NullMarked;
