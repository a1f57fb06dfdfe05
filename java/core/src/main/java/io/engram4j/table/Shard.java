package io.engram4j.table;

import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * Rows of a table that lie together in memory, at regular distances: all of them, or some where a
 * checkpoint has cut the table into parts.
 *
 * @param first the row that lies first
 * @param weight the rows' elements
 * @param scale their scales, if the type has them beside
 * @param bias their biases, if the type has them
 */
public record Shard(
    long first,
    MemorySegment weight,
    @Nullable MemorySegment scale,
    @Nullable MemorySegment bias) {}
