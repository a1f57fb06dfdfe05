package io.engram4j.remote;

import jdk.jfr.Category;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;
import org.jspecify.annotations.Nullable;

/** A second replica was asked, since the first was slow. */
@Name("io.engram4j.RemoteHedge")
@Label("Engram second replica asked")
@Category("Engram4J")
@StackTrace(false)
final class RemoteHedgeEvent extends Event {
  @Label("Layer")
  int layer;

  @Label("Slice")
  int slice;

  @Label("Slow endpoint")
  @Nullable String slow;

  @Label("Other endpoint")
  @Nullable String other;
}
