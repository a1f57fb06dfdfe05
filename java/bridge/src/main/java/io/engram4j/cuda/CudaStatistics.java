package io.engram4j.cuda;

import org.jspecify.annotations.Nullable;

/**
 * What a layer's rows have cost on a device so far.
 *
 * @param layer the model's layer
 * @param table the table's name
 * @param held from where its rows are read: HOST, DEVICE or STAGED
 * @param reason why they are staged although nobody asked for it, or null
 * @param rows that were looked up
 * @param hits of them, those in the device's cache
 * @param misses of them, those that were not in it; both 0 without a cache
 */
public record CudaStatistics(
    int layer,
    String table,
    CudaOptions.Tables held,
    @Nullable String reason,
    long rows,
    long hits,
    long misses) {}
