package io.engram4j;

import io.engram4j.gather.RowReader;

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
 */
public record LayerStatistics(
    int layer,
    String table,
    long prefetches,
    long stalls,
    long begunLate,
    long stalledNanos,
    RowReader.Statistics rows) {}
