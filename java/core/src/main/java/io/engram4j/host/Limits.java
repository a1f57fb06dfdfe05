package io.engram4j.host;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;

/** What the system, a container or the shell allow this process. */
public final class Limits {
  private static final ControlGroups OWN = new ControlGroups(Path.of("/proc/self"));

  private Limits() {}

  /** Returns the bytes that can be had without swapping: what is free, or a container's rest. */
  public static long availableMemory() {
    return Math.min(systemAvailable(), OWN.memory());
  }

  /** Returns the bytes of huge pages that the process's control groups leave it. */
  public static long availableHugePages() {
    return OWN.hugePages();
  }

  /** Returns the bytes of memory that this machine has, or more than there can be if unknown. */
  public static long totalMemory() {
    return ManagementFactory.getOperatingSystemMXBean()
            instanceof com.sun.management.OperatingSystemMXBean system
        ? system.getTotalMemorySize()
        : Long.MAX_VALUE;
  }

  /** Returns whether the JVM was started with an option, by whatever means. */
  public static boolean hasOption(String option) {
    return ManagementFactory.getRuntimeMXBean().getInputArguments().contains(option);
  }

  /**
   * Returns a limit of this process as Linux tells it, such as {@code Max locked memory}, or {@code
   * unknown}.
   */
  public static String ofProcess(String name) {
    try {
      for (String line : Files.readAllLines(Path.of("/proc/self/limits"))) {
        if (line.startsWith(name)) {
          return line.substring(name.length()).strip().split("\\s+", 2)[0];
        }
      }
    } catch (IOException e) {
      return "unknown"; // no Linux
    }
    return "unknown";
  }

  /** Page cache counts as free. */
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
}
