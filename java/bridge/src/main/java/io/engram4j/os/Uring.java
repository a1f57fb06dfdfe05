package io.engram4j.os;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.engram4j.host.AsyncFiles;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;

/**
 * A submission and a completion ring, shared with the kernel: reads are written to the one, and one
 * system call begins all of them and waits for the first to end. One caller at a time.
 *
 * <p>Offsets and numbers are those of Linux's io_uring.h; they are the same on all architectures.
 */
final class Uring implements AsyncFiles.Queue {
  private static final int SETUP = 425;
  private static final int SINGLE_MAP = 1; // features
  private static final int PLAIN_READ = 8; // came with READ, in Linux 5.6
  private static final byte READ = 22;
  private static final int INTERRUPTED = 4;
  private static final int AGAIN = 11;
  private static final int BUSY = 16;
  private static final long SUBMISSIONS = 0x10000000L;
  private static final int SUBMISSION = 64;
  private static final int COMPLETION = 16;

  /** So many wait at most to be begun while others are there to be taken. */
  private static final int BATCH = 8;

  private static final VarHandle INT = JAVA_INT.varHandle();

  private final int[] files;
  private final int bytes;
  private final int ring;
  private final Arena arena;
  private final MemorySegment state;
  private final MemorySegment rings;
  private final MemorySegment submissions;
  private final MemorySegment[] buffers;
  private final int[] results;
  private final long submissionHead;
  private final long submissionTail;
  private final long completionHead;
  private final long completionTail;
  private final long completions;
  private final int submissionMask;
  private final int completionMask;
  private int tail;
  private int head;
  private int waiting; // written, but not begun

  Uring(int[] files, int depth, int bytes) throws IOException {
    this.files = files;
    this.bytes = bytes;
    this.results = new int[depth];
    this.buffers = new MemorySegment[depth];
    this.arena = Arena.ofShared();
    int opened = -1;
    try {
      this.state = Libc.state(arena);
      MemorySegment parameters = arena.allocate(120, 8);
      opened = (int) Libc.system(SETUP, depth, parameters.address(), 0, 0, 0, 0);
      if (opened < 0) {
        throw new IOException("the system refuses io_uring: errno " + -opened);
      }
      this.ring = opened;
      int features = parameters.get(JAVA_INT, 20);
      if ((features & SINGLE_MAP) == 0 || (features & PLAIN_READ) == 0) {
        throw new IOException("io_uring needs Linux 5.6");
      }
      int entries = parameters.get(JAVA_INT, 0);
      long array = parameters.get(JAVA_INT, 40 + 24);
      this.completions = parameters.get(JAVA_INT, 80 + 20);
      long most = completions + (long) COMPLETION * parameters.get(JAVA_INT, 4);
      this.rings = map(opened, Math.max(most, array + 4L * entries), 0);
      this.submissions = map(opened, (long) SUBMISSION * entries, SUBMISSIONS);
      for (int i = 0; i < depth; i++) {
        buffers[i] = arena.allocate(bytes, Libc.PAGE);
      }
      this.submissionHead = parameters.get(JAVA_INT, 40);
      this.submissionTail = parameters.get(JAVA_INT, 40 + 4);
      this.completionHead = parameters.get(JAVA_INT, 80);
      this.completionTail = parameters.get(JAVA_INT, 80 + 4);
      this.submissionMask = rings.get(JAVA_INT, parameters.get(JAVA_INT, 40 + 8));
      this.completionMask = rings.get(JAVA_INT, parameters.get(JAVA_INT, 80 + 8));
      for (int i = 0; i < entries; i++) {
        rings.set(JAVA_INT, array + 4L * i, i); // submissions are always taken in their order
      }
    } catch (Throwable e) {
      if (opened >= 0) {
        Libc.close(opened);
      }
      arena.close();
      if (e instanceof OutOfMemoryError) {
        throw new IOException("no memory for " + depth + " reads at once: " + e.getMessage(), e);
      }
      throw e;
    }
  }

  @SuppressWarnings("restricted")
  private MemorySegment map(int file, long length, long offset) throws IOException {
    long address = Libc.map(length, Libc.SHARED, file, offset);
    if (address < 0) {
      throw new IOException("io_uring's memory cannot be mapped: errno " + -address);
    }
    return MemorySegment.ofAddress(address)
        .reinterpret(length, arena, memory -> Libc.unmap(memory.address(), length));
  }

  @Override
  public MemorySegment buffer(int slot) {
    return buffers[slot];
  }

  @Override
  public void begin(int slot, int file, long offset, int at, int length) {
    if (at < 0 || length < 1 || at + length > bytes) {
      throw new IndexOutOfBoundsException(length + " bytes at " + at + " of a buffer of " + bytes);
    }
    long entry = (long) SUBMISSION * (tail & submissionMask);
    submissions.asSlice(entry, SUBMISSION).fill((byte) 0);
    submissions.set(JAVA_BYTE, entry, READ);
    submissions.set(JAVA_INT, entry + 4, files[file]);
    submissions.set(JAVA_LONG, entry + 8, offset);
    submissions.set(JAVA_LONG, entry + 16, buffers[slot].address() + at);
    submissions.set(JAVA_INT, entry + 24, length);
    submissions.set(JAVA_LONG, entry + 32, slot);
    tail++; // before the kernel sees it: one too many is better than one too few
    INT.setRelease(rings, submissionTail, tail);
    waiting++;
  }

  @Override
  public int end() throws IOException {
    boolean none = head == (int) INT.getAcquire(rings, completionTail);
    if (none || waiting >= BATCH) {
      enter(none ? 1 : 0);
    }
    while (head == (int) INT.getAcquire(rings, completionTail)) {
      enter(1);
    }
    long entry = completions + (long) COMPLETION * (head & completionMask);
    int slot = (int) rings.get(JAVA_LONG, entry);
    results[slot] = rings.get(JAVA_INT, entry + 8);
    head++;
    INT.setRelease(rings, completionHead, head);
    return slot;
  }

  /** The rings themselves tell what was begun and what was taken. */
  @Override
  public void drain() throws IOException {
    tail = (int) INT.getAcquire(rings, submissionTail);
    head = (int) INT.getAcquire(rings, completionHead);
    waiting = tail - (int) INT.getAcquire(rings, submissionHead);
    while (tail != head) { // each submission has one completion
      end();
    }
  }

  private void enter(int least) throws IOException {
    int begun = Libc.enter(state, ring, waiting, least);
    if (begun >= 0) {
      waiting -= begun;
    } else if (begun != -INTERRUPTED && begun != -AGAIN && begun != -BUSY) {
      throw new IOException("io_uring cannot wait: errno " + -begun);
    }
  }

  @Override
  public int result(int slot) {
    return results[slot];
  }

  @Override
  public void close() {
    Libc.close(ring);
    arena.close();
  }
}
