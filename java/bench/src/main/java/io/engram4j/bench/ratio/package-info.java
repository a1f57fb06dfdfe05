/**
 * Every kernel beside its physical limit and beside what a user would otherwise take.
 *
 * <p>May use everything; rivals come by service.
 *
 * <p>Nothing depends on it.
 */
@NullMarked
package io.engram4j.bench.ratio;

import org.jspecify.annotations.NullMarked;
