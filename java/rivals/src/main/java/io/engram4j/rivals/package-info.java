/**
 * Libraries that a user could take instead, behind {@code Rival}.
 *
 * <p>Uses the benchmarks and those libraries.
 *
 * <p>Nothing depends on it.
 */
@NullMarked
package io.engram4j.rivals;

import org.jspecify.annotations.NullMarked;
