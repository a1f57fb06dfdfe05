package io.engram4j.train.ranks;

import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * Processes that train one model together, numbered from 0. What is called of it is called by all
 * of them in the same order; each call waits for the others. For one thread at a time.
 */
public interface Ranks extends AutoCloseable {
  /** Returns this process's number. */
  int rank();

  /** Returns how many there are. */
  int size();

  /**
   * Sends a part to each rank, itself included, and takes what each sends here.
   *
   * @param send what parts are taken of; native memory
   * @param at [size]: the byte at which the part for each rank begins; parts may overlap
   * @param bytes [size]: how long it is, a multiple of 4; may be 0
   * @return what came from each rank, in their order; valid until the next call
   * @throws IllegalStateException if another rank has left or died, where that is noticed
   */
  List<MemorySegment> exchange(MemorySegment send, long[] at, long[] bytes);

  /** Leaves. Others that still wait for this one fail. */
  @Override
  void close();

  /** Returns one process alone. */
  static Ranks alone() {
    return Alone.INSTANCE;
  }

  /** One process alone, which nobody waits for. */
  enum Alone implements Ranks {
    INSTANCE;

    @Override
    public int rank() {
      return 0;
    }

    @Override
    public int size() {
      return 1;
    }

    @Override
    public List<MemorySegment> exchange(MemorySegment send, long[] at, long[] bytes) {
      return List.of(send.asSlice(at[0], bytes[0]));
    }

    @Override
    public void close() {}
  }
}
