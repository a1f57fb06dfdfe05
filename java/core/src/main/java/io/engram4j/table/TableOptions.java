package io.engram4j.table;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.LongConsumer;
import org.jspecify.annotations.Nullable;

/**
 * How tables are opened. Immutable.
 *
 * @param placement where rows are held
 * @param threads how many threads load a table that is copied
 * @param queueDepth reads that a streamed table has under way at once; of threads, where they must
 *     serve instead of the system, there are at most 32
 * @param cacheBytes memory for rows of a streamed or mapped table that were read lately, per table;
 *     0 for none
 * @param seed rows that the cache begins with, and holds as far as it can, or null
 * @param sharedDirectory where shared tables lie; a file system in memory
 * @param numa on which NUMA nodes a resident or pinned table lies
 * @param remote the tables of {@link Placement#REMOTE}, else null
 * @param progress hears of bytes of rows that are loaded, from any thread
 */
public record TableOptions(
    Placement placement,
    int threads,
    int queueDepth,
    long cacheBytes,
    @Nullable RowSeed seed,
    Path sharedDirectory,
    NumaPolicy numa,
    @Nullable RemoteTables remote,
    LongConsumer progress) {
  private static final int DEFAULT_DEPTH = 128;

  public TableOptions {
    if (cacheBytes < 0) {
      throw new IllegalArgumentException("a cache cannot have " + cacheBytes + " bytes");
    }
    if (threads < 1 || queueDepth < 1 || queueDepth > 1024) {
      throw new IllegalArgumentException(
          "threads (" + threads + ") and queueDepth (" + queueDepth + ") must be 1 to 1024");
    }
    if ((placement == Placement.REMOTE) != (remote != null)) {
      throw new IllegalArgumentException(
          remote == null
              ? "the placement remote needs the tables of other machines"
              : "tables of other machines have no effect: the placement is " + placement);
    }
  }

  /** Returns the defaults: {@link Placement#AUTO}, a thread per core, 128 reads at once. */
  public static TableOptions defaults() {
    Path memory = Path.of("/dev/shm");
    Path shared =
        Files.isDirectory(memory) ? memory : Path.of(System.getProperty("java.io.tmpdir"));
    int threads = Math.min(16, Runtime.getRuntime().availableProcessors());
    return new TableOptions(
        Placement.AUTO,
        threads,
        DEFAULT_DEPTH,
        0,
        null,
        shared,
        NumaPolicy.FIRST_TOUCH,
        null,
        bytes -> {});
  }

  /** Returns these options with another placement, which is not {@link Placement#REMOTE}. */
  public TableOptions placement(Placement other) {
    return new TableOptions(
        other, threads, queueDepth, cacheBytes, seed, sharedDirectory, numa, null, progress);
  }

  /** Returns these options with the tables of other machines. */
  public TableOptions remote(RemoteTables other) {
    return new TableOptions(
        Placement.REMOTE,
        threads,
        queueDepth,
        cacheBytes,
        seed,
        sharedDirectory,
        numa,
        other,
        progress);
  }

  /** Returns these options with another number of loading threads. */
  public TableOptions threads(int other) {
    return new TableOptions(
        placement, other, queueDepth, cacheBytes, seed, sharedDirectory, numa, remote, progress);
  }

  /** Returns these options with another number of reads at once. */
  public TableOptions queueDepth(int other) {
    return new TableOptions(
        placement, threads, other, cacheBytes, seed, sharedDirectory, numa, remote, progress);
  }

  /** Returns these options with a cache of so many bytes for each streamed or mapped table. */
  public TableOptions cacheBytes(long other) {
    return new TableOptions(
        placement, threads, queueDepth, other, seed, sharedDirectory, numa, remote, progress);
  }

  /** Returns these options with rows that the cache of each table begins with. */
  public TableOptions seed(RowSeed other) {
    return new TableOptions(
        placement, threads, queueDepth, cacheBytes, other, sharedDirectory, numa, remote, progress);
  }

  /** Returns these options with another directory for shared tables. */
  public TableOptions sharedDirectory(Path other) {
    return new TableOptions(
        placement, threads, queueDepth, cacheBytes, seed, other, numa, remote, progress);
  }

  /** Returns these options with another choice of NUMA nodes. */
  public TableOptions numa(NumaPolicy other) {
    return new TableOptions(
        placement, threads, queueDepth, cacheBytes, seed, sharedDirectory, other, remote, progress);
  }

  /** Returns these options with a listener. */
  public TableOptions progress(LongConsumer other) {
    return new TableOptions(
        placement, threads, queueDepth, cacheBytes, seed, sharedDirectory, numa, remote, other);
  }
}
