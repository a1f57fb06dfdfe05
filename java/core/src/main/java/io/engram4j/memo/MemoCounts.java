package io.engram4j.memo;

/**
 * What a memo of projections has done.
 *
 * @param hits n-grams whose contribution was there
 * @param misses n-grams whose contribution was computed
 * @param evictions contributions that gave way to others
 * @param bytes bytes that are remembered
 * @param mostBytes bytes that can be
 */
public record MemoCounts(long hits, long misses, long evictions, long bytes, long mostBytes) {}
