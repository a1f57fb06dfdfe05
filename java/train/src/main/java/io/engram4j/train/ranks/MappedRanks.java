package io.engram4j.train.ranks;

import io.engram4j.host.RegularFiles;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BooleanSupplier;

/**
 * Processes of one machine that exchange through files that they map: {@code ranks.bin} of a
 * directory, by which they wait for each other, and {@code sent-R.bin} with what rank R sends.
 *
 * <p>A rank that leaves or dies is noticed by those who wait for it, within a tenth of a second.
 */
public final class MappedRanks implements Ranks {
  private static final long CHECK_NANOS = 100_000_000;
  private static final int SPINS = 2_000; // some 20 us; longer takes the core of whom we wait for

  private final RankTable table;
  private final int rank;
  private final Duration patience;
  private final List<Outbox> outboxes = new ArrayList<>();
  private long arrivals;
  private boolean open = true;

  private MappedRanks(RankTable table, int rank, Duration patience) {
    this.table = table;
    this.rank = rank;
    this.patience = patience;
  }

  /**
   * Joins the ranks of a directory; returns when all are there. Rank 0 may come after others, and a
   * directory in which others trained and ended, or died, may be used again.
   *
   * @param directory that all see, and nothing else uses; made if it is not there. In memory, such
   *     as {@code /dev/shm}, nothing of it is ever written to a disk
   * @param patience how long to wait for the others, now and whenever they exchange
   * @throws IOException if the directory cannot be used
   * @throws IllegalArgumentException if there is no such rank
   * @throws IllegalStateException if a rank does not come, or is there twice
   */
  public static MappedRanks join(Path directory, int rank, int size, Duration patience)
      throws IOException {
    if (size < 1 || size > RankTable.MOST || rank < 0 || rank >= size) {
      throw new IllegalArgumentException(
          "rank " + rank + " of " + size + "; there may be " + RankTable.MOST);
    }
    Files.createDirectories(directory);
    Path file = directory.resolve("ranks.bin");
    if (rank == 0) {
      create(file, size);
    }
    long end = System.nanoTime() + patience.toNanos();
    RankTable table = open(file, size, end);
    try {
      table.enter(rank);
    } catch (Throwable e) {
      table.close();
      throw e;
    }
    try {
      MappedRanks ranks = new MappedRanks(table, rank, patience);
      ranks.waitFor(() -> ranks.entered() == size, () -> "only " + ranks.entered() + " came");
      for (int other = 0; other < size; other++) {
        ranks.outboxes.add(new Outbox(directory.resolve("sent-" + other + ".bin"), other, table));
      }
      return ranks;
    } catch (Throwable e) {
      table.leave(rank);
      table.close();
      throw e;
    }
  }

  private static void create(Path file, int size) throws IOException {
    if (Files.exists(file)) {
      try (RankTable old = RankTable.open(file)) {
        if (old.isUsed()) {
          throw new IllegalStateException(file + " is used by ranks that are training");
        }
      }
    }
    Path made = RegularFiles.beside(file);
    try {
      RankTable.create(made, size);
      Files.move(made, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(made);
    }
  }

  /** Opens the file of a rank 0 that lives; one of another run may lie there until it comes. */
  private static RankTable open(Path file, int size, long end) throws IOException {
    while (true) {
      try {
        RankTable table = RankTable.open(file);
        if (table.isMadeByLiving()) {
          if (table.size() != size) {
            int other = table.size();
            table.close();
            throw new IllegalStateException(file + " is of " + other + " ranks, not of " + size);
          }
          return table;
        }
        table.close();
      } catch (NoSuchFileException e) {
        // not yet
      }
      if (System.nanoTime() > end) {
        throw new IllegalStateException(file + ": rank 0 did not come");
      }
      pause(5_000_000);
    }
  }

  @Override
  public int rank() {
    return rank;
  }

  @Override
  public int size() {
    return table.size();
  }

  private int entered() {
    int count = 0;
    for (int other = 0; other < size(); other++) {
      count += table.isEntered(other) ? 1 : 0;
    }
    return count;
  }

  @Override
  public List<MemorySegment> exchange(MemorySegment send, long[] at, long[] bytes) {
    if (!open) {
      throw new IllegalStateException("rank " + rank + " has left");
    }
    try {
      outboxes.get(rank).put(arrivals, send, at, bytes);
      long exchange = arrivals;
      meet(); // all have put
      List<MemorySegment> received = new ArrayList<>();
      for (Outbox outbox : outboxes) {
        received.add(outbox.take(exchange, rank));
      }
      return received;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Waits until all have come here as often as this one. */
  private void meet() {
    arrivals++;
    table.arrive(rank, arrivals);
    for (int other = 0; other < size(); other++) {
      int whom = other;
      waitFor(
          () -> table.arrivals(whom) >= arrivals,
          () -> "rank " + whom + " does not come to exchange " + arrivals);
    }
  }

  private void waitFor(BooleanSupplier done, java.util.function.Supplier<String> otherwise) {
    for (int i = 0; i < SPINS; i++) {
      if (done.getAsBoolean()) {
        return;
      }
      Thread.onSpinWait();
    }
    long begin = System.nanoTime();
    long check = begin + CHECK_NANOS;
    long pause = 20_000;
    while (!done.getAsBoolean()) {
      pause(pause);
      pause = Math.min(1_000_000, pause + pause / 4);
      long now = System.nanoTime();
      if (now > check) {
        requireAll(done);
        check = now + CHECK_NANOS;
      }
      if (now - begin > patience.toNanos()) {
        throw new IllegalStateException(otherwise.get() + " within " + patience.toSeconds() + " s");
      }
    }
  }

  private void requireAll(BooleanSupplier done) {
    for (int other = 0; other < size(); other++) {
      if (table.isGone(other) && !done.getAsBoolean()) { // it may have come and left since
        throw new IllegalStateException("rank " + other + " has left or died");
      }
    }
  }

  private static void pause(long nanos) {
    java.util.concurrent.locks.LockSupport.parkNanos(nanos);
    if (Thread.interrupted()) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while waiting for other ranks");
    }
  }

  @Override
  public void close() {
    if (open) {
      open = false;
      table.leave(rank);
      outboxes.forEach(Outbox::close);
      table.close();
    }
  }
}
