package io.engram4j.host;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * The control groups of this process that limit memory, of version 1 and 2 and mixed: its own, not
 * those of the mount's root, and all above it.
 */
final class ControlGroups {
  /** Files of a version: the limit, what is used, and what of that are pages of files. */
  private record Version(
      String type, String controller, String limit, String used, List<String> cache) {}

  private static final List<Version> MEMORY =
      List.of(
          new Version(
              "cgroup2",
              "memory",
              "memory.max",
              "memory.current",
              List.of("inactive_file", "active_file")),
          new Version(
              "cgroup",
              "memory",
              "memory.limit_in_bytes",
              "memory.usage_in_bytes",
              List.of("total_inactive_file", "total_active_file")));

  private static final List<Version> HUGE_PAGES =
      List.of(
          new Version("cgroup2", "hugetlb", "hugetlb.2MB.max", "hugetlb.2MB.current", List.of()),
          new Version(
              "cgroup",
              "hugetlb",
              "hugetlb.2MB.limit_in_bytes",
              "hugetlb.2MB.usage_in_bytes",
              List.of()));

  private final Path process;

  /** Of a process, by its directory below {@code /proc}. */
  ControlGroups(Path process) {
    this.process = process;
  }

  /** Returns the bytes that the process may still take, or more than there can be. */
  long memory() {
    return available(MEMORY);
  }

  /** The same of huge pages of 2 MiB that are set apart: past their limit a write is a fault. */
  long hugePages() {
    return available(HUGE_PAGES);
  }

  private long available(List<Version> versions) {
    long least = Long.MAX_VALUE;
    for (Version version : versions) {
      for (Path group : groups(version)) {
        long limit = number(group.resolve(version.limit));
        long used = number(group.resolve(version.used));
        if (limit >= 0 && used >= 0) {
          long left =
              limit - used + cache(group, version); // pages of files are given up for others
          least = Math.min(least, Math.max(0, Math.min(limit, left)));
        }
      }
    }
    return least;
  }

  /** The group of the process and those above, as far as they can be seen. */
  private List<Path> groups(Version version) {
    List<Path> groups = new ArrayList<>();
    for (String line : lines(process.resolve("mountinfo"))) {
      String[] parts = line.split(" - ", 2);
      String[] mount = parts[0].split(" ", -1);
      boolean right =
          parts.length == 2
              && mount.length > 4
              && parts[1].startsWith(version.type + " ")
              && (version.type.equals("cgroup2")
                  || parts[1].matches(".*[ ,]" + version.controller + "(,.*)?"));
      if (right) {
        Path top = Path.of(plain(mount[4]));
        Path group = top.resolve(below(plain(mount[3]), path(version))).normalize();
        group = group.startsWith(top) ? group : top; // of another namespace: what can be seen of it
        groups.add(group);
        while (!group.equals(top)) {
          group = group.resolve("..").normalize();
          groups.add(group);
        }
      }
    }
    return groups;
  }

  /** Spaces and the like are octal there. */
  private static String plain(String field) {
    return field.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\");
  }

  /** The path of the process's group below the mounted one, without a slash at its start. */
  private static String below(String root, String path) {
    String own = path.startsWith(root) ? path.substring(root.length()) : "";
    return own.startsWith("/") ? own.substring(1) : own;
  }

  private String path(Version version) {
    for (String line : lines(process.resolve("cgroup"))) {
      String[] fields = line.split(":", 3);
      boolean unified = fields.length == 3 && fields[1].isEmpty();
      boolean named =
          fields.length == 3
              && Stream.of(fields[1].split(",", -1)).anyMatch(version.controller::equals);
      if (version.type.equals("cgroup2") ? unified : named) {
        return fields[2];
      }
    }
    return "/";
  }

  private static long cache(Path group, Version version) {
    long bytes = 0;
    for (String line : version.cache.isEmpty() ? List.<String>of() : stat(group)) {
      String[] fields = line.split(" ", 2);
      if (fields.length == 2 && version.cache.contains(fields[0])) {
        bytes += Long.parseLong(fields[1].strip());
      }
    }
    return bytes;
  }

  private static List<String> stat(Path group) {
    return lines(group.resolve("memory.stat"));
  }

  private static long number(Path file) {
    List<String> lines = lines(file);
    try {
      return lines.isEmpty() ? -1 : Long.parseLong(lines.getFirst().strip());
    } catch (NumberFormatException e) {
      return -1; // "max"
    }
  }

  private static List<String> lines(Path file) {
    try {
      return Files.readAllLines(file);
    } catch (IOException e) {
      return List.of(); // no Linux, or no such version
    }
  }
}
