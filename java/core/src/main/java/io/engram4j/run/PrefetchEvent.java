package io.engram4j.run;

import jdk.jfr.Category;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/** Rows of one batch and layer were fetched ahead. */
@Name("io.engram4j.Prefetch")
@Label("Engram rows fetched ahead")
@Category("Engram4J")
@StackTrace(false)
final class PrefetchEvent extends Event {
  @Label("Layer")
  int layer;

  @Label("Tokens")
  int tokens;
}
