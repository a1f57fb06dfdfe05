/** Every kernel beside its physical limit and beside what a user would otherwise take. */
@NullMarked
package io.engram4j.bench.ratio;

import org.jspecify.annotations.NullMarked;
