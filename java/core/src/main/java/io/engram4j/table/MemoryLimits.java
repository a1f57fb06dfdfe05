package io.engram4j.table;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;

/** How much memory a table may take: what the system has free, or a container's limit leaves. */
final class MemoryLimits {
  private static final Path GROUP = Path.of("/sys/fs/cgroup");

  private MemoryLimits() {}

  static long available() {
    long free = systemAvailable();
    // version 2 of control groups; limits are texts such as "max" or a number
    long limit = number(GROUP.resolve("memory.max"));
    long used = number(GROUP.resolve("memory.current"));
    if (limit < 0 || used < 0) {
      limit = number(GROUP.resolve("memory/memory.limit_in_bytes"));
      used = number(GROUP.resolve("memory/memory.usage_in_bytes"));
    }
    return limit < 0 || used < 0 ? free : Math.min(free, Math.max(0, limit - used));
  }

  /** What can be had without swapping; page cache counts as free. */
  private static long systemAvailable() {
    try {
      for (String line : Files.readAllLines(Path.of("/proc/meminfo"))) {
        if (line.startsWith("MemAvailable:")) {
          return 1024 * Long.parseLong(line.replaceAll("[^0-9]", ""));
        }
      }
    } catch (IOException | NumberFormatException e) {
      return javaAvailable(); // no Linux
    }
    return javaAvailable();
  }

  private static long javaAvailable() {
    var system = ManagementFactory.getOperatingSystemMXBean();
    return system instanceof com.sun.management.OperatingSystemMXBean os
        ? os.getFreeMemorySize()
        : Runtime.getRuntime().maxMemory();
  }

  private static long number(Path file) {
    try {
      return Long.parseLong(Files.readString(file).strip());
    } catch (IOException | NumberFormatException e) {
      return -1;
    }
  }
}
