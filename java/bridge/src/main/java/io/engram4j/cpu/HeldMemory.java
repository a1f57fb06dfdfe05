package io.engram4j.cpu;

import io.engram4j.table.Shard;
import io.engram4j.table.Table;
import io.engram4j.weights.Linear;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Memory that a kernel reads by addresses that a struct has. A downcall keeps the arenas of its
 * arguments open, and of nothing else; so one segment of each arena goes along as an argument of
 * its own, behind those that the function has: {@link CpuCalls}. Immutable and thread-safe.
 */
final class HeldMemory {
  /** How many arguments of this kind a call has. */
  static final int MOST = 4;

  private final List<Part> parts;
  private final MemorySegment[] held = new MemorySegment[MOST];
  private final int arenas;

  /**
   * What a struct has the address of.
   *
   * @param name of the tensor, for messages
   */
  private record Part(String name, MemorySegment memory) {}

  private HeldMemory(List<Part> all) {
    List<MemorySegment.Scope> known = new ArrayList<>();
    known.add(Arena.global().scope()); // never closed
    parts = new ArrayList<>(); // one per arena: a table may have hundreds
    Set<MemorySegment.Scope> seen = new HashSet<>();
    for (Part part : all) {
      if (seen.add(part.memory.scope())) {
        parts.add(part);
      }
    }
    int count = 0;
    for (Part part : parts) {
      // what is on the heap was copied to where the struct is
      if (part.memory.isNative() && !known.contains(part.memory.scope())) {
        known.add(part.memory.scope());
        if (count < MOST) {
          held[count] = part.memory;
        }
        count++;
      }
    }
    this.arenas = count;
    for (int i = count; i < MOST; i++) {
      held[i] = MemorySegment.NULL;
    }
  }

  /** Returns the memory of tables. */
  static HeldMemory of(List<Table> tables) {
    List<Part> parts = new ArrayList<>();
    for (Table table : tables) {
      for (Shard shard : table.shards()) {
        parts.add(new Part(table.name(), shard.weight()));
        add(parts, table.name(), shard.scale());
        add(parts, table.name(), shard.bias());
      }
    }
    return new HeldMemory(parts);
  }

  /** Returns the memory of a weight. */
  static HeldMemory of(Linear weight) {
    List<Part> parts = new ArrayList<>();
    parts.add(new Part(weight.name(), weight.weight()));
    add(parts, weight.name(), weight.scale());
    return new HeldMemory(parts);
  }

  private static void add(List<Part> parts, String name, @Nullable MemorySegment memory) {
    if (memory != null) {
      parts.add(new Part(name, memory));
    }
  }

  /** Returns whether one call can keep all arenas open. */
  boolean fitsOneCall() {
    return arenas <= MOST;
  }

  /** Returns a segment of one of the arenas, or the null pointer. */
  MemorySegment segment(int index) {
    return held[index];
  }

  /**
   * Looks before the call, for a message with a name; a downcall itself says "Already closed".
   *
   * @throws IllegalStateException if some of it is closed
   */
  void requireOpen() {
    for (int i = 0; i < parts.size(); i++) { // an iterator would be an object per call
      Part part = parts.get(i);
      if (!part.memory.scope().isAlive()) {
        throw new IllegalStateException("the memory of " + part.name + " is closed");
      }
    }
  }
}
