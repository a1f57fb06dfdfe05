import org.jspecify.annotations.NullMarked;

/** Holds any backend to the golden files and to the Java backend. */
@NullMarked
module io.engram4j.tck {
  requires transitive io.engram4j.core;
  requires transitive io.engram4j.hf;
  requires static transitive org.jspecify;

  exports io.engram4j.tck;
}
