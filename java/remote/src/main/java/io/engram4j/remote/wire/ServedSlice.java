package io.engram4j.remote.wire;

import io.engram4j.table.Table;

/**
 * A slice that is served.
 *
 * @param layer whose table it is of
 * @param slice its place in the table
 * @param rows its rows, the first of which has id 0
 */
record ServedSlice(int layer, int slice, Table rows) {}
