/**
 * JMH benchmarks, one for each stage, and whole decode loops.
 *
 * <p>May use everything.
 *
 * <p>Nothing depends on it.
 */
@NullMarked
package io.engram4j.bench;

import org.jspecify.annotations.NullMarked;
