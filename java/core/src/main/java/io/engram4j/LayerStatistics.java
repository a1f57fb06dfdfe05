package io.engram4j;

import io.engram4j.table.RowSource;

/**
 * What one layer's rows have cost so far, in one view of a model. Counters are read one after the
 * other while calls go on, so they may be a call apart.
 *
 * @param layer the model layer
 * @param table the table's name
 * @param prefetches batches whose rows were fetched ahead
 * @param stalls how often {@link EngramLayer#apply} waited for such rows
 * @param begunLate of these, how often no thread had begun, so that {@code apply} fetched the rows
 * @param stalledNanos how long it waited in all
 * @param rows what was read from disk and found in the cache
 * @param memo what was found among projections that are remembered
 */
public record LayerStatistics(
    int layer,
    String table,
    long prefetches,
    long stalls,
    long begunLate,
    long stalledNanos,
    RowSource.Statistics rows,
    MemoStatistics memo) {
  /**
   * What a memo of projections has done.
   *
   * @param hits n-grams whose contribution was there
   * @param misses n-grams whose contribution was computed
   * @param evictions contributions that gave way to others
   * @param bytes bytes that are remembered
   * @param mostBytes bytes that can be; 0 without a memo
   */
  public record MemoStatistics(long hits, long misses, long evictions, long bytes, long mostBytes) {
    /** No memo. */
    public static final MemoStatistics NONE = new MemoStatistics(0, 0, 0, 0, 0);
  }
}
