/** The token map and the hash as functions of Spark. */
@NullMarked
package io.engram4j.spark;

import org.jspecify.annotations.NullMarked;
