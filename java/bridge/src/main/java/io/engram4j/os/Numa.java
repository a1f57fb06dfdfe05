package io.engram4j.os;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Nodes of memory: which there are, which is near, and where pages are to be. */
final class Numa {
  private static final Logger LOG = LoggerFactory.getLogger(Numa.class);
  private static final int MBIND = System.getProperty("os.arch").equals("aarch64") ? 235 : 237;
  private static final int BIND = 2;
  private static final int INTERLEAVE = 3;
  private static final int MOST_NODES = 1024;
  private static final Path ROOT = Path.of("/sys/devices/system/node");

  /** The system's numbers of the nodes that have memory; they need not be consecutive. */
  static final int[] NODES = nodes();

  private static final byte[] NODE_OF_CPU = nodeOfCpu();

  private Numa() {}

  /** Reads a list such as {@code 0-3,8}. */
  static List<Integer> list(String text) {
    List<Integer> numbers = new ArrayList<>();
    for (String range : text.strip().split(",", -1)) {
      String[] ends = range.split("-", 2);
      int first = Integer.parseInt(ends[0]);
      int last = ends.length == 1 ? first : Integer.parseInt(ends[1]);
      for (int i = first; i <= last; i++) {
        numbers.add(i);
      }
    }
    return numbers;
  }

  private static int[] nodes() {
    try {
      List<Integer> found = list(Files.readString(ROOT.resolve("has_memory")));
      return found.stream().mapToInt(i -> i).filter(i -> i < MOST_NODES).limit(127).toArray();
    } catch (IOException | NumberFormatException e) {
      return new int[] {0}; // a kernel without NUMA
    }
  }

  /** Per core the place of its node in {@link #NODES}; 0 where the system does not tell. */
  private static byte[] nodeOfCpu() {
    byte[] nodes = {};
    for (byte i = 0; i < NODES.length; i++) {
      try {
        for (int cpu : list(Files.readString(ROOT.resolve("node" + NODES[i] + "/cpulist")))) {
          nodes = cpu < nodes.length ? nodes : Arrays.copyOf(nodes, cpu + 64);
          nodes[cpu] = i;
        }
      } catch (IOException | NumberFormatException e) {
        LOG.debug("node {} has no cores", NODES[i], e);
      }
    }
    return nodes;
  }

  static int node() {
    int cpu = NODES.length == 1 ? 0 : Libc.cpu();
    return cpu >= 0 && cpu < NODE_OF_CPU.length ? NODE_OF_CPU[cpu] : 0;
  }

  /** Asks for pages of memory on one node, by its place in {@link #NODES}, or on all in turn. */
  static void spread(MemorySegment memory, int node) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment mask = arena.allocate(MOST_NODES / 8, 8);
      for (int i = 0; i < NODES.length; i++) {
        if (node < 0 || i == node) {
          long at = NODES[i] / 8;
          mask.set(JAVA_BYTE, at, (byte) (mask.get(JAVA_BYTE, at) | 1 << NODES[i] % 8));
        }
      }
      long start = memory.address() & -Libc.PAGE;
      long end = memory.address() + memory.byteSize();
      // whole huge pages: part of one cannot be placed, and the mapping goes on that far
      long bytes = (end - start + LinuxMemory.HUGE - 1) / LinuxMemory.HUGE * LinuxMemory.HUGE;
      int policy = node < 0 ? INTERLEAVE : BIND;
      // one bit more than there are: the kernel takes one off
      long errno = -Libc.system(MBIND, start, bytes, policy, mask.address(), MOST_NODES + 1, 0);
      if (errno != 0) {
        throw new IOException(
            "the system refuses to place "
                + memory.byteSize()
                + " bytes on "
                + (node < 0 ? "all nodes" : "node " + NODES[node])
                + ": errno "
                + errno);
      }
    }
  }
}
