import org.jspecify.annotations.NullMarked;

/** A small model with Engram that this project trained, as resources. */
@NullMarked
module io.engram4j.shipped {
  requires static transitive org.jspecify;

  exports io.engram4j.shipped;
}
