/**
 * JMH benchmarks, one for each stage, and whole decode loops.
 *
 * <p>May use everything.
 *
 * <p>Nothing depends on it.
 */
package io.engram4j.bench;
