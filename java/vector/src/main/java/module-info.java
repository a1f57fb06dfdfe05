import org.jspecify.annotations.NullMarked;

/** The {@code vector} backend: Java's Vector API. Runs where its module is added. */
@NullMarked
module io.engram4j.vector {
  requires transitive io.engram4j.core;
  requires static jdk.incubator.vector; // java --add-modules jdk.incubator.vector
  requires static transitive org.jspecify;

  exports io.engram4j.vector;

  provides io.engram4j.kernel.BackendProvider with
      io.engram4j.vector.VectorProvider;
}
