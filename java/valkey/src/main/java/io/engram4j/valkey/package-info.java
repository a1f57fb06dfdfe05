/**
 * Rows in Valkey or Redis, alone or a cluster: many rows to a value, read by GETRANGE in pipelines.
 *
 * <p>Uses: remote's engine interface, Jedis.
 *
 * <p>Knows no models and no files: rows are handed to it.
 */
@NullMarked
package io.engram4j.valkey;

import org.jspecify.annotations.NullMarked;
