package io.engram4j.table.io;

import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import io.engram4j.cache.SetCache;
import io.engram4j.host.Buffer;
import io.engram4j.table.RowSource;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.LongAdder;
import org.jspecify.annotations.Nullable;

/**
 * Rows that were read lately, in a bounded part of memory off the heap; rows of a seed can be held
 * for good. Why this and no general cache: docs/decisions/0009. Thread-safe; must not be closed
 * while somebody reads.
 */
final class RowCache implements RowSource, AutoCloseable {
  /** Of a key; what is above them is the generation. */
  private static final int ROW_BITS = 41;

  private final RowSource source;
  private final int rowBytes;
  private final SetCache cache;
  private final Queue<Misses> idle = new ConcurrentLinkedQueue<>();
  private final LongAdder buffers = new LongAdder(); // bytes
  private final LongAdder hits = new LongAdder();
  private final LongAdder misses = new LongAdder();
  private final Arena arena;
  private final MemorySegment rows;

  /** What one caller wants, and must read from below. */
  private final class Misses implements Reading, AutoCloseable {
    private final long[] key = new long[1];
    private final Buffer ids = new Buffer();
    private final Buffer rows = new Buffer();
    private int[] places = {};
    private MemorySegment wanted = MemorySegment.NULL;
    private MemorySegment to = MemorySegment.NULL;
    private long count;
    private long generation;
    private long first; // of the part that is read just now
    private int left; // to be read of it
    private Reading below = Reading.DONE;

    @Override
    public void end() {
      try {
        finish(this);
        wanted = MemorySegment.NULL;
        to = MemorySegment.NULL;
        idle.add(this);
      } catch (Throwable e) {
        giveUp(this);
        throw e;
      }
    }

    long bytes() {
      return ids.bytes() + rows.bytes();
    }

    @Override
    public void close() {
      ids.close();
      rows.close();
    }
  }

  /** A cache of so many bytes over a source that somebody else closes. */
  RowCache(RowSource source, int rowBytes, long bytes) {
    this.source = source;
    this.rowBytes = rowBytes;
    this.cache = new SetCache(bytes / (SetCache.WAYS * (rowBytes + 9L)), 1);
    this.arena = Arena.ofShared(); // the last, as nobody closes what was not made to the end
    try {
      this.rows = arena.allocate((long) cache.places() * rowBytes, 64);
    } catch (Throwable e) {
      arena.close();
      throw e;
    }
  }

  @Override
  public long generation() {
    return source.generation();
  }

  @Override
  public @Nullable Group group() {
    return source.group();
  }

  @Override
  public void read(MemorySegment rowIds, long count, MemorySegment to) {
    begin(rowIds, count, to, null).end();
  }

  /**
   * All rows are of one generation: a row's is in its key, and a call that another has overtaken
   * begins again.
   */
  @Override
  public Reading begin(MemorySegment rowIds, long count, MemorySegment to, @Nullable Round round) {
    Misses call = idle.poll();
    if (call == null) {
      call = new Misses();
    }
    try {
      call.wanted = rowIds;
      call.to = to;
      call.count = count;
      call.generation = source.generation();
      beginPart(call, 0, round);
      return call;
    } catch (Throwable e) {
      giveUp(call);
      throw e;
    }
  }

  private void giveUp(Misses call) {
    buffers.add(-call.bytes());
    call.close();
  }

  /** Takes what is here of a part, and begins to read the others. */
  private void beginPart(Misses call, long first, @Nullable Round round) {
    int count = (int) Math.min(ReadPlan.MOST_ROWS, call.count - first);
    reserve(call, count);
    MemorySegment ids = call.ids.get();
    int left = 0;
    int wanted = 0;
    for (int i = 0; i < count; i++) {
      long row = call.wanted.getAtIndex(JAVA_LONG_UNALIGNED, first + i);
      if (row < 0) {
        continue;
      }
      wanted++;
      if (!hit(row, call.to, (first + i) * rowBytes, call)) {
        ids.setAtIndex(JAVA_LONG_UNALIGNED, left, row);
        call.places[left++] = i;
      }
    }
    hits.add(wanted - left);
    misses.add(left);
    call.first = first;
    call.left = left;
    call.below = left == 0 ? Reading.DONE : source.begin(ids, left, call.rows.get(), round);
  }

  private void reserve(Misses call, int count) {
    long before = call.bytes();
    if (call.places.length < count) {
      int larger = Math.max(64, 2 * count);
      call.ids.reserve(8L * larger);
      call.rows.reserve((long) larger * rowBytes);
      call.places = new int[larger];
    }
    buffers.add(call.bytes() - before);
  }

  private void finish(Misses call) {
    endPart(call);
    while (true) {
      for (long at = call.first + ReadPlan.MOST_ROWS; at < call.count; at += ReadPlan.MOST_ROWS) {
        beginPart(call, at, null);
        endPart(call);
      }
      long now = source.generation();
      if (now == call.generation) {
        return;
      }
      call.generation = now;
      beginPart(call, 0, null);
      endPart(call);
    }
  }

  private void endPart(Misses call) {
    Reading below = call.below;
    call.below = Reading.DONE;
    below.end();
    MemorySegment ids = call.ids.get();
    MemorySegment read = call.rows.get();
    for (int i = 0; i < call.left; i++) {
      long from = (long) i * rowBytes;
      long at = (call.first + call.places[i]) * rowBytes;
      MemorySegment.copy(read, from, call.to, at, rowBytes);
      put(ids.getAtIndex(JAVA_LONG_UNALIGNED, i), read, from, false, call);
    }
  }

  private int set(long row, Misses call) {
    call.key[0] = (row + 1) | (call.generation << ROW_BITS); // a key is not 0
    return cache.set(SetCache.hash(call.key, 1));
  }

  private boolean hit(long row, MemorySegment to, long at, Misses call) {
    int set = set(row, call);
    long[] key = call.key;
    synchronized (cache.lock(set)) {
      int place = cache.find(set, key);
      if (place < 0) {
        return false;
      }
      cache.use(place);
      MemorySegment.copy(rows, (long) place * rowBytes, to, at, rowBytes);
      return true;
    }
  }

  private void put(long row, MemorySegment from, long at, boolean hold, Misses call) {
    int set = set(row, call);
    long[] key = call.key;
    synchronized (cache.lock(set)) {
      int place = cache.find(set, key);
      if (place < 0) {
        place = cache.empty(set);
        place = place < 0 ? cache.victim(set) : place;
        cache.put(place, key);
        MemorySegment.copy(from, at, rows, (long) place * rowBytes, rowBytes);
      }
      if (hold) {
        cache.hold(place);
      }
    }
  }

  /** Reads rows before anyone asks for them, and holds them as far as their sets allow. */
  void seed(long[] ids) {
    int step = 4096;
    try (Misses call = new Misses();
        Arena scratch = Arena.ofShared()) {
      MemorySegment buffer = scratch.allocate((long) step * rowBytes, 64);
      for (int from = 0; from < ids.length; from += step) {
        int count = Math.min(step, ids.length - from);
        MemorySegment some = MemorySegment.ofArray(ids).asSlice(8L * from, 8L * count);
        call.generation = source.generation();
        source.read(some, count, buffer);
        boolean same = source.generation() == call.generation;
        for (int i = 0; same && i < count; i++) {
          put(ids[from + i], buffer, (long) i * rowBytes, true, call);
        }
      }
    }
  }

  /** Returns the rows there is room for. */
  long capacity() {
    return cache.places();
  }

  @Override
  public Statistics statistics() {
    Statistics below = source.statistics();
    return new Statistics(
        below.rows(),
        below.reads(),
        below.bytes(),
        hits.sum(),
        misses.sum(),
        cache.evictions(),
        cache.used() * rowBytes,
        rows.byteSize(),
        below.bufferBytes() + buffers.sum());
  }

  @Override
  public void close() {
    for (Misses misses = idle.poll(); misses != null; misses = idle.poll()) {
      misses.close();
    }
    arena.close();
  }
}
