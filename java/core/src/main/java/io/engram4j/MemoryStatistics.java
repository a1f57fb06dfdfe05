package io.engram4j;

/**
 * What memory a model, or one view of it, holds.
 *
 * @param tableBytes rows that are in memory or mapped; mapped ones take as much as the system keeps
 * @param cacheBytes caches of rows
 * @param memoBytes memos of projections, of this view
 * @param bufferBytes scratch memory of batches and reads, of this view
 */
public record MemoryStatistics(
    long tableBytes, long cacheBytes, long memoBytes, long bufferBytes) {}
