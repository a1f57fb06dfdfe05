package io.engram4j.cuda;

import io.engram4j.model.Dtype;
import io.engram4j.table.RowSeed;
import org.jspecify.annotations.Nullable;

/**
 * How a model is opened on a device. Immutable.
 *
 * @param tables from where rows are read
 * @param rows the type in which gathered rows are written: F32, or BF16 rounded to nearest even
 * @param cacheBytes of the device's memory for rows that are wanted often, per table; 0 for none
 * @param seed rows that the caches hold from the start and for good, the most wanted first, or null
 * @param cacheLookups whether rows that a lookup did not find in the cache come into it, in place
 *     of others that came so
 * @param gatherBlocks how many blocks a lookup's kernels may take, so that they leave the rest of
 *     the device to the model; 0 for all they take
 */
public record CudaOptions(
    Tables tables,
    Dtype rows,
    long cacheBytes,
    @Nullable RowSeed seed,
    boolean cacheLookups,
    int gatherBlocks) {
  /** From where a device reads rows. */
  public enum Tables {
    /** {@link #HOST} where the system allows it, else {@link #STAGED}. */
    AUTO,
    /** From the host's memory over the link, row by row, without copies in between. */
    HOST,
    /** From the device's memory, into which the whole table is copied. */
    DEVICE,
    /** Through the host: it reads the rows of a step and sends them. Also for streamed tables. */
    STAGED
  }

  public CudaOptions {
    if (rows != Dtype.F32 && rows != Dtype.BF16) {
      throw new IllegalArgumentException("rows come as F32 or BF16, not " + rows);
    }
    if (cacheBytes > 0 && seed == null && !cacheLookups) {
      throw new IllegalArgumentException(
          "a cache of " + cacheBytes + " bytes needs a seed, or what is looked up, to hold");
    }
    if (cacheBytes < 0 || gatherBlocks < 0) {
      throw new IllegalArgumentException(
          "cacheBytes (" + cacheBytes + ") or gatherBlocks (" + gatherBlocks + ") are negative");
    }
  }

  /** Returns the defaults: tables in the host's memory, rows as F32, no cache, 32 blocks. */
  public static CudaOptions defaults() {
    return new CudaOptions(Tables.AUTO, Dtype.F32, 0, null, false, 32);
  }

  /** Returns these options with rows read from elsewhere. */
  public CudaOptions tables(Tables other) {
    return new CudaOptions(other, rows, cacheBytes, seed, cacheLookups, gatherBlocks);
  }

  /** Returns these options with another type of gathered rows. */
  public CudaOptions rows(Dtype other) {
    return new CudaOptions(tables, other, cacheBytes, seed, cacheLookups, gatherBlocks);
  }

  /** Returns these options with a cache of so many bytes per table, which holds a seed. */
  public CudaOptions cache(long bytes, RowSeed rowsToHold) {
    return new CudaOptions(tables, rows, bytes, rowsToHold, cacheLookups, gatherBlocks);
  }

  /**
   * Returns these options with a cache of so many bytes per table, which holds what was looked up.
   * Rows come into it when a step's rows are there, so that no layer waits for it; each is read a
   * second time for that. A seed stays beside them if there is one.
   */
  public CudaOptions cacheLookups(long bytes) {
    return new CudaOptions(tables, rows, bytes, seed, true, gatherBlocks);
  }

  /** Returns these options with another share of the device for lookups. */
  public CudaOptions gatherBlocks(int other) {
    return new CudaOptions(tables, rows, cacheBytes, seed, cacheLookups, other);
  }
}
