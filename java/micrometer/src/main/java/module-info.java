import org.jspecify.annotations.NullMarked;

/** Meters of a model, for whatever Micrometer reports to. */
@NullMarked
module io.engram4j.micrometer {
  requires transitive io.engram4j.core;
  requires micrometer.core;
  requires static transitive org.jspecify;

  exports io.engram4j.micrometer;
}
