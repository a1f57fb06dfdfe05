package io.engram4j.mpi;

import io.engram4j.host.Buffer;
import io.engram4j.train.ranks.Ranks;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;

/**
 * Ranks that {@code mpirun} started, on one machine or many, over whatever network their library of
 * MPI has: Open MPI 4 and 5, or MPICH and its kin.
 *
 * <p>When a process dies, MPI's launcher ends the others; they go on from their last checkpoint. A
 * rank that does not come within the patience makes the others fail, and {@link #close} then ends
 * the whole job, since MPI has no other way to leave.
 */
public final class MpiRanks implements Ranks {
  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;
  private static final int SPINS = 2_000;
  private static final long PAUSE_NANOS = 20_000;

  private final Mpi mpi;
  private final Duration patience;
  private final int rank;
  private final int size;
  private final Buffer numbers = new Buffer();
  private final Buffer received = new Buffer();
  private boolean broken;
  private boolean open = true;

  private MpiRanks(Mpi mpi, Duration patience) {
    this.mpi = mpi;
    this.patience = patience;
    this.rank = mpi.rank();
    this.size = mpi.size();
  }

  /**
   * Joins the ranks of the job that this process belongs to, once in its life. The launcher's
   * library is loaded; one in another place is named by the system property {@code
   * engram.mpi.library}.
   *
   * @param patience how long to wait for other ranks whenever they exchange
   * @throws IllegalStateException if no launcher of MPI started this process, or its library cannot
   *     be loaded or begun
   */
  public static MpiRanks join(Duration patience) {
    Map<String, String> environment = System.getenv();
    for (MpiAbi abi : MpiAbi.values()) {
      if (abi.isLaunched(environment)) {
        Mpi mpi = new Mpi(System.getProperty("engram.mpi.library", abi.file()), abi);
        mpi.begin();
        return new MpiRanks(mpi, patience);
      }
    }
    throw new IllegalStateException(
        "no launcher of MPI started this process; use mpirun -n RANKS java ...");
  }

  @Override
  public int rank() {
    return rank;
  }

  @Override
  public int size() {
    return size;
  }

  /**
   * {@inheritDoc}
   *
   * @throws IllegalArgumentException if it has parts of 8 GiB and more in all, or of bytes that are
   *     not a multiple of 4
   */
  @Override
  public List<MemorySegment> exchange(MemorySegment send, long[] at, long[] bytes) {
    requireOpen();
    MemorySegment all = numbers.reserve(4L * 4 * size);
    MemorySegment counts = all.asSlice(0, 4L * size);
    MemorySegment places = all.asSlice(4L * size, 4L * size);
    MemorySegment theirCounts = all.asSlice(8L * size, 4L * size);
    MemorySegment theirPlaces = all.asSlice(12L * size, 4L * size);
    for (int to = 0; to < size; to++) {
      counts.setAtIndex(INT, to, ints(bytes[to]));
      places.setAtIndex(INT, to, ints(at[to]));
    }
    mpi.startAllToAll(counts, theirCounts);
    await("to say how much it sends");
    long total = 0;
    for (int from = 0; from < size; from++) {
      theirPlaces.setAtIndex(INT, from, ints(4 * total));
      total += theirCounts.getAtIndex(INT, from);
    }
    MemorySegment memory = received.reserve(Math.max(4, 4 * total));
    mpi.startAllToAll(send, counts, places, memory, theirCounts, theirPlaces);
    await("to exchange");
    List<MemorySegment> parts = new ArrayList<>();
    for (int from = 0; from < size; from++) {
      long begin = 4L * theirPlaces.getAtIndex(INT, from);
      parts.add(memory.asSlice(begin, 4L * theirCounts.getAtIndex(INT, from)).asReadOnly());
    }
    return parts;
  }

  private static int ints(long bytes) {
    if (bytes % 4 != 0 || bytes / 4 > Integer.MAX_VALUE) {
      throw new IllegalArgumentException(
          "an exchange is of multiples of 4 bytes below 8 GiB, not of " + bytes);
    }
    return (int) (bytes / 4);
  }

  private void requireOpen() {
    if (!open) {
      throw new IllegalStateException("rank " + rank + " has left");
    }
    if (broken) {
      throw new IllegalStateException("rank " + rank + " waits no longer for the others");
    }
  }

  private void await(String what) {
    broken = true; // until it is done: what MPI still uses must stay
    if (!isDoneInTime()) {
      throw new IllegalStateException(
          "rank "
              + rank
              + " waited "
              + patience.toSeconds()
              + " s for another "
              + what
              + ": it has failed, or hangs");
    }
    broken = false;
  }

  /** Waits in pauses, where the library would take a core until the others come. */
  private boolean isDoneInTime() {
    long end = System.nanoTime() + patience.toNanos();
    for (int i = 0; !mpi.isDone(); i++) {
      if (i < SPINS) {
        Thread.onSpinWait();
        continue;
      }
      LockSupport.parkNanos(PAUSE_NANOS);
      if (System.nanoTime() > end || Thread.currentThread().isInterrupted()) {
        return false;
      }
    }
    return true;
  }

  /** Leaves together with the others; if they do not come to leave, ends the job. */
  @Override
  public void close() {
    if (!open) {
      return;
    }
    open = false;
    if (!broken) {
      mpi.startBarrier();
      broken = !isDoneInTime();
    }
    if (broken) {
      mpi.abort();
    }
    mpi.end();
    numbers.close();
    received.close();
  }
}
