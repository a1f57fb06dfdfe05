/**
 * Training's kernels on float arrays: matrix products, and the stages of Engram forward and back.
 *
 * <p>Uses the core's weights and layouts.
 *
 * <p>Holds no parameters and starts no threads.
 */
@NullMarked
package io.engram4j.train.kernel;

import org.jspecify.annotations.NullMarked;
