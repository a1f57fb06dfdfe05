package io.engram4j.table.io;

import jdk.jfr.Category;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/** A table was opened. */
@Name("io.engram4j.TableOpen")
@Label("Engram table opened")
@Category("Engram4J")
@StackTrace(false)
final class LoadEvent extends Event {
  @Label("Table")
  String table = "";

  @Label("Placement")
  String placement = "";

  @Label("What it got")
  String description = "";
}
