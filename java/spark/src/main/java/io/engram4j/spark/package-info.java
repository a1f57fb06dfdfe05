/**
 * The token map and the hash as functions of Spark.
 *
 * <p>Uses what the core exports to users, and Spark.
 *
 * <p>Opens no tables.
 */
@NullMarked
package io.engram4j.spark;

import org.jspecify.annotations.NullMarked;
