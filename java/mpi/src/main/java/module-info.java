import org.jspecify.annotations.NullMarked;

/** Ranks of training that exchange over MPI. */
@NullMarked
module io.engram4j.mpi {
  requires io.engram4j.core;
  requires transitive io.engram4j.train;
  requires static transitive org.jspecify;

  exports io.engram4j.mpi;
}
