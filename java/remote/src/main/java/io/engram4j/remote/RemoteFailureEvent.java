package io.engram4j.remote;

import jdk.jfr.Category;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;
import org.jspecify.annotations.Nullable;

/** A request for rows failed; another replica is asked if there is one. */
@Name("io.engram4j.RemoteFailure")
@Label("Engram remote request failed")
@Category("Engram4J")
@StackTrace(false)
final class RemoteFailureEvent extends Event {
  @Label("Slice")
  int slice;

  @Label("Endpoint")
  @Nullable String endpoint;

  @Label("Why")
  @Nullable String why;
}
