package io.engram4j.table.io;

import java.io.Closeable;
import java.io.IOException;

/** Carries out the reads that callers have planned, many at once. Thread-safe. */
interface RowReads extends Closeable {
  int LARGEST_BLOCK = 65536;

  /** Does all reads of a plan; returns when they are done, or one has failed and none goes on. */
  void run(ReadPlan plan) throws IOException;

  /** Tells how reads are done, for {@link HeldTable#description}. */
  String description();

  /** Frees files and threads; no call of {@link #run} may be under way. */
  @Override
  void close() throws IOException;
}
