/**
 * Ranks of training that exchange over MPI: the library of Open MPI or MPICH that a machine has.
 *
 * <p>Uses: train's ranks, the core's memory.
 *
 * <p>Knows no rows and no models: bytes are handed to it.
 */
@NullMarked
package io.engram4j.mpi;

import org.jspecify.annotations.NullMarked;
