package io.engram4j.table;

import io.engram4j.table.ReadPlan.Source;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;

/** Reads through queues of the operating system: each caller has one, and needs no other thread. */
final class QueuedReads implements RowReads {
  private final AsyncFiles files;
  private final List<Source> sources;
  private final int depth;
  private final int bytes;
  private final ConcurrentLinkedQueue<Slots> idle = new ConcurrentLinkedQueue<>();

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
  QueuedReads(HostMemory system, List<Source> sources, int depth) throws IOException {
    this.sources = sources;
    this.depth = depth;
    this.bytes = sources.stream().mapToInt(Source::mostBytes).max().orElseThrow();
    List<Path> paths = sources.stream().map(source -> source.region().file()).toList();
    this.files = system.openAsync(paths);
    try {
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
    Slots slots = idle.poll();
    if (slots == null) {
      slots = slots();
    }
    int free = depth;
    for (int i = 0; i < depth; i++) {
      slots.free[i] = i;
    }
    IOException failure = null;
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
      } catch (IOException e) {
        failure = e;
        slots.free[free++] = slot;
      }
    }
    idle.add(slots);
    if (failure != null) {
      throw failure;
    }
  }

  /** Takes what a read brought; returns whether that is all, or the rest is on its way. */
  private boolean ended(ReadPlan plan, Slots slots, int slot) throws IOException {
    int read = slots.read[slot];
    int source = plan.source(read);
    int result = slots.queue.result(slot);
    if (result < 0) {
      throw plan.failed(read, "errno " + -result);
    }
    int block = sources.get(source).block();
    slots.got[slot] += result;
    int got = slots.got[slot];
    if (got >= plan.needed(read)) {
      MemorySegment buffer = slots.queue.buffer(slot);
      plan.scatter(read, buffer);
      return true;
    }
    long size = files.size(source);
    if (result == 0 || size < plan.start(read) + plan.needed(read)) {
      throw plan.ended(read, size);
    }
    int whole = got / block * block; // reads past the page cache begin at blocks
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
