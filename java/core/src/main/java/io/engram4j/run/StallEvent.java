package io.engram4j.run;

import jdk.jfr.Category;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/** A layer waited for rows that were being fetched ahead. */
@Name("io.engram4j.Stall")
@Label("Engram rows not there yet")
@Category("Engram4J")
@StackTrace(false)
final class StallEvent extends Event {
  @Label("Layer")
  int layer;

  @Label("Tokens")
  int tokens;

  @Label("Begun by this thread, since no other was free")
  boolean inline;
}
