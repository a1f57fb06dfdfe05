import org.jspecify.annotations.NullMarked;

/**
 * Engram for the JVM: layout, token map, sequences, tables and the pure-Java kernels that every
 * other backend is held to.
 *
 * <p>Users need the packages that are exported to all. The others are for those who write a
 * backend, a reader of model files or a tool; a module elsewhere takes them by {@code
 * --add-exports}.
 */
@NullMarked
module io.engram4j.core {
  requires java.management;
  requires jdk.jfr;
  requires jdk.management;
  requires static jdk.unsupported; // reads past the page cache
  requires org.slf4j;
  requires static transitive org.jspecify;

  // what users touch
  exports io.engram4j;
  exports io.engram4j.model;
  exports io.engram4j.table;

  // what a backend is made of
  exports io.engram4j.format to
      io.engram4j.bench,
      io.engram4j.bridge,
      io.engram4j.cli,
      io.engram4j.hf,
      io.engram4j.tck,
      io.engram4j.train,
      io.engram4j.vector;
  exports io.engram4j.host to
      io.engram4j.bench,
      io.engram4j.bridge,
      io.engram4j.cli,
      io.engram4j.hf,
      io.engram4j.remote,
      io.engram4j.valkey,
      io.engram4j.ucx,
      io.engram4j.mpi,
      io.engram4j.tokenizer,
      io.engram4j.train;
  exports io.engram4j.kernel to
      io.engram4j.bench,
      io.engram4j.bridge,
      io.engram4j.cli,
      io.engram4j.hf,
      io.engram4j.tck,
      io.engram4j.vector;
  exports io.engram4j.weights to
      io.engram4j.bench,
      io.engram4j.bridge,
      io.engram4j.cli,
      io.engram4j.hf,
      io.engram4j.tck,
      io.engram4j.train,
      io.engram4j.vector;

  // what single modules of this project share with it
  exports io.engram4j.kernel.java to
      io.engram4j.hf,
      io.engram4j.bench,
      io.engram4j.cli,
      io.engram4j.tck,
      io.engram4j.train,
      io.engram4j.vector;
  exports io.engram4j.memo to
      io.engram4j.bench,
      io.engram4j.cli;
  exports io.engram4j.run to
      io.engram4j.bench,
      io.engram4j.bridge;
  exports io.engram4j.work to
      io.engram4j.bench,
      io.engram4j.bridge,
      io.engram4j.remote;
  exports io.engram4j.table.io to
      io.engram4j.bench,
      io.engram4j.cli,
      io.engram4j.hf,
      io.engram4j.remote,
      io.engram4j.tck;

  uses io.engram4j.host.Host;
  uses io.engram4j.kernel.BackendProvider;
}
