package io.engram4j.table.io;

import io.engram4j.host.AsyncFiles;
import io.engram4j.host.HostFiles;
import io.engram4j.table.io.ReadPlan.Source;
import io.engram4j.work.Failures;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/** Reads through queues of the operating system: each caller has one, and needs no other thread. */
final class QueuedReads implements RowReads {
  /** Queues of a table: one is deep enough for a disk, and more callers than these wait in turn. */
  private static final int MOST_QUEUES = 4;

  private static final int INTERRUPTED = -4;
  private static final int AGAIN = -11;

  private final AsyncFiles files;
  private final List<Source> sources;
  private final int depth;
  private final int bytes;
  private final BlockingQueue<Slots> idle = new LinkedBlockingQueue<>();
  private final AtomicInteger made = new AtomicInteger();

  /** A queue, and what its slots are reading. */
  private static final class Slots {
    private final AsyncFiles.Queue queue;
    private final int[] read; // per slot
    private final int[] got; // per slot, its bytes so far
    private final int[] free;

    Slots(AsyncFiles.Queue queue, int depth) {
      this.queue = queue;
      this.read = new int[depth];
      this.got = new int[depth];
      this.free = new int[depth];
    }
  }

  /**
   * Opens the files.
   *
   * @throws IOException if the system does not offer this, with its reason
   */
  QueuedReads(HostFiles system, List<Source> sources, int depth) throws IOException {
    this.sources = sources;
    this.depth = depth;
    this.bytes = sources.stream().mapToInt(Source::mostBytes).max().orElseThrow();
    List<Path> paths = sources.stream().map(source -> source.region().file()).toList();
    this.files = system.openAsync(paths);
    try {
      made.set(1);
      idle.add(slots()); // if there are no queues, then the first caller is not the one to find out
    } catch (IOException | RuntimeException e) {
      files.close();
      throw e;
    }
  }

  private Slots slots() throws IOException {
    return new Slots(files.newQueue(depth, bytes), depth);
  }

  long size(int source) throws IOException {
    return files.size(source);
  }

  @Override
  public String description() {
    String cache = files.isDirect() ? "past" : "through";
    return depth + " reads at once by io_uring, " + cache + " the page cache";
  }

  @Override
  public void run(ReadPlan plan) throws IOException {
    Slots slots = take();
    boolean well = false;
    try {
      Exception failure = run(plan, slots);
      well = true;
      Failures.rethrowIo(failure);
    } finally {
      if (well) {
        idle.add(slots);
      } else {
        made.decrementAndGet(); // given up with its buffers, which the system may still write to
      }
    }
  }

  /** Takes a queue that is idle, or a new one, or waits for one. */
  private Slots take() throws IOException {
    boolean interrupted = false;
    try {
      for (; ; ) {
        Slots slots = idle.poll();
        if (slots == null) {
          slots = make();
        }
        try {
          if (slots == null) {
            slots = idle.poll(50, TimeUnit.MILLISECONDS); // looks again: queues may be given up
          }
        } catch (InterruptedException e) {
          interrupted = true; // reads take no time worth breaking
        }
        if (slots != null) {
          return slots;
        }
      }
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  /** Makes another queue; returns null if there are enough, or the system gives no more. */
  private @Nullable Slots make() throws IOException {
    if (made.incrementAndGet() <= MOST_QUEUES) {
      try {
        return slots();
      } catch (IOException | OutOfMemoryError e) {
        if (made.decrementAndGet() == 0) {
          throw e; // there is none to wait for
        }
        return null;
      }
    }
    made.decrementAndGet();
    return null;
  }

  /** Returns what went wrong, when nothing is under way any more. */
  private @Nullable Exception run(ReadPlan plan, Slots slots) throws IOException {
    int free = depth;
    for (int i = 0; i < depth; i++) {
      slots.free[i] = i;
    }
    Exception failure = null;
    int begun = 0;
    while ((begun < plan.reads() && failure == null) || free < depth) {
      while (begun < plan.reads() && failure == null && free > 0) {
        int slot = slots.free[--free];
        slots.read[slot] = begun;
        slots.got[slot] = 0;
        slots.queue.begin(slot, plan.source(begun), plan.start(begun), 0, plan.length(begun));
        begun++;
      }
      int slot = slots.queue.end(); // if this throws, the queue and its buffers are given up
      try {
        if (ended(plan, slots, slot)) {
          slots.free[free++] = slot;
        }
      } catch (IOException | RuntimeException e) {
        failure = e;
        slots.free[free++] = slot;
      }
    }
    return failure;
  }

  /** Takes what a read brought; returns whether that is all, or the rest is on its way. */
  private boolean ended(ReadPlan plan, Slots slots, int slot) throws IOException {
    int read = slots.read[slot];
    int source = plan.source(read);
    int result = slots.queue.result(slot);
    if (result == AGAIN || result == INTERRUPTED) {
      result = 0; // older systems leave trying again to the caller
    } else if (result == 0) {
      throw plan.ended(read, files.size(source));
    } else if (result < 0) {
      throw plan.failed(read, "errno " + -result);
    }
    int block = files.isDirect() ? sources.get(source).block() : 1;
    slots.got[slot] += result;
    int got = slots.got[slot];
    if (got >= plan.needed(read)) {
      MemorySegment buffer = slots.queue.buffer(slot);
      plan.scatter(read, buffer);
      return true;
    }
    long size = files.size(source);
    if (size < plan.start(read) + plan.needed(read)) {
      throw plan.ended(read, size);
    }
    int whole = got / block * block; // reads past the page cache begin at blocks
    if (result > 0 && whole == got - result) {
      throw plan.failed(read, "only " + result + " bytes came");
    }
    slots.got[slot] = whole;
    slots.queue.begin(slot, source, plan.start(read) + whole, whole, plan.length(read) - whole);
    return false;
  }

  @Override
  public void close() throws IOException {
    for (Slots slots = idle.poll(); slots != null; slots = idle.poll()) {
      slots.queue.close();
    }
    files.close();
  }
}
