package io.engram4j.train.ranks;

import io.engram4j.host.CheckedFile;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;

/**
 * A mapped file by which ranks know each other: a line that says how many there are and which
 * process made it, then a line for each.
 */
final class RankTable implements AutoCloseable {
  static final int MOST = 1024;

  private static final String MAGIC = "ENGRRNK1";
  private static final int LINE = 128; // two cache lines, which are read ahead as a pair
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;
  private static final VarHandle VALUE = LONG.varHandle();

  // of a line
  private static final int STATE = 0;
  private static final int PROCESS = 8;
  private static final int BEGUN = 16;
  private static final int ARRIVALS = 24;
  private static final int SENT = 32; // of even exchanges: size of the outbox, and where in it
  private static final int SENT_ODD = 48;

  private static final long ENTERED = 1;
  private static final long LEFT = 2;

  private final Arena arena;
  private final MemorySegment memory;
  private final int size;

  private RankTable(Arena arena, MemorySegment memory) {
    this.arena = arena;
    this.memory = memory;
    this.size = (int) (memory.byteSize() / LINE) - 1;
  }

  static void create(Path file, int size) throws IOException {
    try (FileChannel channel =
            FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE);
        Arena arena = Arena.ofConfined()) {
      MemorySegment memory = channel.map(MapMode.READ_WRITE, 0, (size + 1L) * LINE, arena);
      memory.set(LONG, 0, CheckedFile.magic(MAGIC));
      sign(memory, 0);
    }
  }

  static RankTable open(Path file) throws IOException {
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      long bytes = channel.size();
      if (bytes < 2 * LINE || bytes > (MOST + 1L) * LINE || bytes % LINE != 0) {
        throw new IOException(file + " is not a file of ranks: it has " + bytes + " bytes");
      }
      Arena arena = Arena.ofShared();
      try {
        MemorySegment memory = channel.map(MapMode.READ_WRITE, 0, bytes, arena);
        if (memory.get(LONG, 0) != CheckedFile.magic(MAGIC)) {
          throw new IOException(file + " is not a file of ranks");
        }
        return new RankTable(arena, memory);
      } catch (Throwable e) {
        arena.close();
        throw e;
      }
    }
  }

  private static void sign(MemorySegment memory, long line) {
    memory.set(LONG, line + PROCESS, ProcessHandle.current().pid());
    memory.set(LONG, line + BEGUN, begun(ProcessHandle.current()));
  }

  private static long begun(ProcessHandle process) {
    return process.info().startInstant().map(Instant::toEpochMilli).orElse(0L);
  }

  /** Whether the process that signed a line runs; another may have its number by now. */
  private boolean isAlive(long line) {
    long begun = memory.get(LONG, line + BEGUN);
    return ProcessHandle.of(memory.get(LONG, line + PROCESS))
        .filter(process -> process.isAlive() && begun(process) == begun)
        .isPresent();
  }

  private static long line(int rank) {
    return (rank + 1L) * LINE;
  }

  private long get(int rank, int what) {
    return (long) VALUE.getAcquire(memory, line(rank) + what);
  }

  private void set(int rank, int what, long value) {
    VALUE.setRelease(memory, line(rank) + what, value);
  }

  int size() {
    return size;
  }

  boolean isMadeByLiving() {
    return isAlive(0) && get(0, STATE) != LEFT;
  }

  /** Returns whether a rank is in it that lives. */
  boolean isUsed() {
    for (int rank = 0; rank < size; rank++) {
      if (isEntered(rank) && !isGone(rank)) {
        return true;
      }
    }
    return false;
  }

  void enter(int rank) {
    if (!VALUE.compareAndSet(memory, line(rank) + STATE, 0L, -1L)) {
      throw new IllegalStateException("rank " + rank + " is there already");
    }
    sign(memory, line(rank));
    set(rank, STATE, ENTERED);
  }

  boolean isEntered(int rank) {
    return get(rank, STATE) >= ENTERED;
  }

  boolean isGone(int rank) {
    long state = get(rank, STATE);
    return state == LEFT || (state == ENTERED && !isAlive(line(rank)));
  }

  void leave(int rank) {
    if (get(rank, STATE) == ENTERED) {
      set(rank, STATE, LEFT);
    }
  }

  void arrive(int rank, long times) {
    set(rank, ARRIVALS, times);
  }

  long arrivals(int rank) {
    return get(rank, ARRIVALS);
  }

  /** Says where in its outbox a rank put what it sends; others see it once the rank arrives. */
  void sent(int rank, long exchange, long bytes, long at) {
    int line = exchange % 2 == 0 ? SENT : SENT_ODD; // a slow rank still reads the one before
    set(rank, line, bytes);
    set(rank, line + 8, at);
  }

  /** Returns how large a rank's outbox was as of an exchange. */
  long sentBytes(int rank, long exchange) {
    return get(rank, exchange % 2 == 0 ? SENT : SENT_ODD);
  }

  /** Returns where in it the parts of an exchange are. */
  long sentAt(int rank, long exchange) {
    return get(rank, (exchange % 2 == 0 ? SENT : SENT_ODD) + 8);
  }

  @Override
  public void close() {
    arena.close();
  }
}
