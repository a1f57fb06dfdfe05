package io.engram4j.table.io;

import io.engram4j.host.AsyncFiles;
import io.engram4j.host.HostFiles;
import io.engram4j.table.io.ReadPlan.Source;
import io.engram4j.work.Failures;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Reads through queues of the operating system: each caller has one, and needs no other thread. A
 * queue is given back by a write to a field, which takes neither stack nor heap: a caller that ran
 * out of either in the midst must not leave the others without.
 */
final class QueuedReads implements RowReads {
  /** Queues of a table: one is deep enough for a disk, and more callers than these wait in turn. */
  private static final int MOST_QUEUES = 4;

  private static final int INTERRUPTED = -4;
  private static final int AGAIN = -11;

  private final AsyncFiles files;
  private final List<Source> sources;
  private final int depth;
  private final int bytes;
  private final Place[] places = new Place[MOST_QUEUES];
  private final Queue<Thread> waiters = new ConcurrentLinkedQueue<>();
  private volatile boolean full; // the system gives no more queues

  /** Room for a queue, which is made when it is first needed. */
  private static final class Place {
    private static final VarHandle TAKEN;
    private volatile boolean taken;
    private boolean unclean; // somebody did not come to an end: reads may be under way
    private @Nullable Slots slots;

    static {
      try {
        TAKEN = MethodHandles.lookup().findVarHandle(Place.class, "taken", boolean.class);
      } catch (ReflectiveOperationException e) {
        throw new ExceptionInInitializerError(e);
      }
    }

    boolean take() {
      return !taken && TAKEN.compareAndSet(this, false, true);
    }
  }

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
      for (int i = 0; i < MOST_QUEUES; i++) {
        places[i] = new Place();
      }
      places[0].slots = slots(); // the first caller is not the one to find out that there are none
    } catch (Throwable e) {
      for (Place place : places) {
        if (place != null && place.slots != null) {
          place.slots.queue.close();
        }
      }
      files.close();
      throw e;
    }
  }

  private Slots slots() throws IOException {
    AsyncFiles.Queue queue = files.newQueue(depth, bytes);
    try {
      return new Slots(queue, depth);
    } catch (Throwable e) {
      queue.close();
      throw e;
    }
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
    Exception failure = null;
    boolean done = false;
    while (!done) {
      Place place = take();
      try {
        Slots slots = clean(place);
        if (slots != null) {
          place.unclean = true;
          failure = run(plan, slots);
          place.unclean = false;
          done = true;
        }
      } finally {
        place.taken = false;
      }
    }
    LockSupport.unpark(waiters.poll());
    Failures.rethrowIo(failure);
  }

  /** Takes a place that is free, or waits for one. */
  private Place take() {
    boolean interrupted = false;
    while (true) {
      Place place = free();
      if (place == null) {
        waiters.add(Thread.currentThread());
        place = free();
        if (place == null) {
          LockSupport.parkNanos(this, 1_000_000); // who frees one may not come to wake others
          interrupted |= Thread.interrupted(); // reads take no time worth breaking
        }
        waiters.remove(Thread.currentThread());
      }
      if (place != null) {
        if (interrupted) {
          Thread.currentThread().interrupt();
        }
        return place;
      }
    }
  }

  /** Takes one with a queue rather than one without. */
  private @Nullable Place free() {
    for (Place place : places) {
      if (place.slots != null && place.take()) {
        return place;
      }
    }
    for (Place place : places) {
      if (!full && place.slots == null && place.take()) {
        return place;
      }
    }
    return null;
  }

  /** Returns the queue of a place with nothing under way, or null if only others have one. */
  private @Nullable Slots clean(Place place) throws IOException {
    Slots slots = place.slots;
    if (slots != null && place.unclean) {
      try {
        slots.queue.drain();
      } catch (IOException e) {
        slots = null; // given up with its buffers, which the system may still write to
        place.slots = null;
        full = false;
      }
    }
    if (slots == null) {
      try {
        slots = slots();
      } catch (IOException | OutOfMemoryError e) {
        if (Arrays.stream(places).noneMatch(other -> other.slots != null)) {
          throw e; // there is none to wait for
        }
        full = true;
        return null;
      }
      place.slots = slots;
    }
    place.unclean = false;
    return slots;
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
      int slot = slots.queue.end();
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
    for (Place place : places) {
      Slots slots = place.slots;
      if (slots != null && (!place.unclean || drained(slots))) {
        slots.queue.close();
      }
    }
    files.close();
  }

  /** Whether nothing is under way any more; else the system may still write to the buffers. */
  private static boolean drained(Slots slots) {
    try {
      slots.queue.drain();
      return true;
    } catch (IOException e) {
      return false;
    }
  }
}
