/**
 * What {@code ci/bench-guard} runs: a commit's kernels against another's.
 *
 * <p>Uses the backends through their interfaces, as it is compiled against other commits as well.
 *
 * <p>Nothing depends on it.
 */
@NullMarked
package io.engram4j.bench.guard;

import org.jspecify.annotations.NullMarked;
