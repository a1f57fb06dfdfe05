/** The {@code vector} backend. */
@NullMarked
package io.engram4j.vector;

import org.jspecify.annotations.NullMarked;
