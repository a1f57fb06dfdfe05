import org.jspecify.annotations.NullMarked;

/**
 * Engram for the JVM: layout, token map, sequences, tables and the pure-Java kernels that every
 * other backend is held to.
 */
@NullMarked
module io.engram4j.core {
  requires java.management;
  requires jdk.jfr;
  requires jdk.management;
  requires static jdk.unsupported; // reads past the page cache
  requires org.slf4j;
  requires static transitive org.jspecify;

  exports io.engram4j;
  exports io.engram4j.backend;
  exports io.engram4j.conv;
  exports io.engram4j.format;
  exports io.engram4j.gate;
  exports io.engram4j.gather;
  exports io.engram4j.layout;
  exports io.engram4j.map;
  exports io.engram4j.project;
  exports io.engram4j.table;

  uses io.engram4j.backend.BackendProvider;
  uses io.engram4j.table.HostMemory;
}
