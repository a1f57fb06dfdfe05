package io.engram4j.tck;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/**
 * The places at which a run of {@link FaultRun} lets something fail: {@link FaultLoader} puts a
 * call before each allocation, file operation and executor call of the library. They are counted,
 * and one of them throws what the real thing would. Thread-safe.
 */
public final class Faults {
  /** How often a place counts: what it does in a loop is the same again. */
  private static final int TIMES = 4;

  private static final Map<String, AtomicInteger> sites = new ConcurrentHashMap<>();
  private static final AtomicLong passed = new AtomicLong();
  private static final List<Tracked> arenas = Collections.synchronizedList(new ArrayList<>());
  private static volatile boolean counting;
  private static volatile long failAt = -1;
  private static volatile String failed = "";

  /** What is tried with failures; made in the loader whose classes can fail. */
  public interface Trial {
    /**
     * Does everything once, each step a second time if it failed.
     *
     * @throws Exception if a step failed without a fault, in a way that is not documented, or
     *     twice, or a result is wrong
     */
    void run() throws Exception;
  }

  /** An arena and where it was made. */
  private record Tracked(Arena arena, String site) {}

  private Faults() {}

  /** Begins to count; the fault of this number happens, none for -1. */
  static void arm(long number) {
    passed.set(0);
    sites.clear();
    arenas.clear();
    failed = "";
    failAt = number;
    counting = true;
  }

  /** Stops, and returns how many places were passed. */
  static long disarm() {
    counting = false;
    return passed.get();
  }

  /** Returns where the fault happened, or an empty text if it has not. */
  public static String failed() {
    return failed;
  }

  /** Returns where arenas were made that are open still. */
  static List<String> openArenas() {
    synchronized (arenas) {
      return arenas.stream()
          .filter(each -> each.arena.scope().isAlive())
          .map(Tracked::site)
          .toList();
    }
  }

  private static boolean isHere(String site) {
    if (!counting) {
      return false;
    }
    AtomicInteger times = sites.computeIfAbsent(site, key -> new AtomicInteger());
    if (times.get() >= TIMES || times.incrementAndGet() > TIMES) {
      return false; // as it was before
    }
    if (passed.getAndIncrement() != failAt) {
      return false;
    }
    failed = site;
    return true;
  }

  /** Passed before memory is allocated. */
  public static void memory(String site) {
    if (isHere(site)) {
      throw new OutOfMemoryError("injected at " + site);
    }
  }

  /** Passed before a file is used. */
  public static void file(String site) throws IOException {
    if (isHere(site)) {
      throw new IOException("injected at " + site);
    }
  }

  /** Passed before an executor gets a task. */
  public static void executor(String site) {
    if (isHere(site)) {
      throw new RejectedExecutionException("injected at " + site);
    }
  }

  /** In place of {@link Arena#ofShared}. */
  public static Arena ofShared(String site) {
    memory(site);
    return track(site, Arena.ofShared());
  }

  /** In place of {@link Arena#ofConfined}. */
  public static Arena ofConfined(String site) {
    memory(site);
    return track(site, Arena.ofConfined());
  }

  private static Arena track(String site, Arena arena) {
    if (counting) {
      arenas.add(new Tracked(arena, site));
    }
    return arena;
  }
}
