package io.engram4j.table.io;

import jdk.jfr.Category;
import jdk.jfr.DataAmount;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.Period;
import jdk.jfr.StackTrace;

/** What a table's row cache has done since the table was opened; written in regular intervals. */
@Name("io.engram4j.RowCache")
@Label("Engram row cache")
@Category("Engram4J")
@StackTrace(false)
@Period("1 s")
final class RowCacheEvent extends Event {
  @Label("Table")
  String table = "";

  @Label("Hits")
  long hits;

  @Label("Misses")
  long misses;

  @Label("Evictions")
  long evictions;

  @Label("Held")
  @DataAmount
  long bytes;
}
