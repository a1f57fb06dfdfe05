package io.engram4j.remote;

import jdk.jfr.Category;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;
import org.jspecify.annotations.Nullable;

/** Rows of one batch were fetched from other machines. */
@Name("io.engram4j.RemoteBatch")
@Label("Engram rows fetched from other machines")
@Category("Engram4J")
@StackTrace(false)
final class RemoteBatchEvent extends Event {
  @Label("Layer")
  int layer;

  @Label("Rows")
  int rows;

  @Label("Generation")
  @Nullable String generation;
}
