package io.engram4j.cuda;

import jdk.jfr.Category;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/**
 * A batch's lookups were queued on a device. It lasts as long as the caller was kept: for waiting
 * until pinned memory is free, and for reading the rows of staged tables.
 */
@Name("io.engram4j.CudaPrefetch")
@Label("Engram lookups queued on a device")
@Category("Engram4J")
@StackTrace(false)
final class CudaPrefetchEvent extends Event {
  @Label("Device")
  int device;

  @Label("Tokens")
  int tokens;

  @Label("Layers whose rows the host has read")
  int stagedLayers;
}
