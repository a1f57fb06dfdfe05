/** Engram layers as blocks of DJL. */
@NullMarked
package io.engram4j.djl;

import org.jspecify.annotations.NullMarked;
