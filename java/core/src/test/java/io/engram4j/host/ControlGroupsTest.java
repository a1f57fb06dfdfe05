package io.engram4j.host;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Limits on the process's own group and those above it, as Linux's files tell them. */
class ControlGroupsTest {
  private static final long MB = 1 << 20;

  @TempDir Path directory;

  private ControlGroups process(String groups, String mounts) throws IOException {
    Path process = Files.createDirectories(directory.resolve("proc"));
    Files.writeString(process.resolve("cgroup"), groups);
    Files.writeString(process.resolve("mountinfo"), mounts);
    return new ControlGroups(process);
  }

  private Path group(String path, String... files) throws IOException {
    Path group = Files.createDirectories(directory.resolve(path));
    for (int i = 0; i < files.length; i += 2) {
      Files.writeString(group.resolve(files[i]), files[i + 1] + "\n");
    }
    return group;
  }

  private String mount(String root, String where, String type, String options) {
    return "31 24 0:27 "
        + root
        + " "
        + directory.resolve(where)
        + " rw,nosuid shared:4 - "
        + type
        + " "
        + type
        + " rw"
        + options
        + "\n";
  }

  @Test
  void theOwnGroupOfVersion2() throws IOException {
    group("v2/a.slice/b.service", "memory.max", "" + 500 * MB, "memory.current", "" + 120 * MB);
    group("v2/a.slice", "memory.max", "max", "memory.current", "" + 900 * MB);
    ControlGroups own = process("0::/a.slice/b.service\n", mount("/", "v2", "cgroup2", ""));
    assertEquals(380 * MB, own.memory());
  }

  @Test
  void theTightestOfAllAbove() throws IOException {
    group("v2/a/b/c", "memory.max", "max", "memory.current", "1");
    group("v2/a/b", "memory.max", "" + 800 * MB, "memory.current", "" + 100 * MB);
    group("v2/a", "memory.max", "" + 900 * MB, "memory.current", "" + 890 * MB);
    ControlGroups own = process("0::/a/b/c\n", mount("/", "v2", "cgroup2", ""));
    assertEquals(10 * MB, own.memory());
  }

  @Test
  void pagesOfFilesAreFree() throws IOException {
    group(
        "v2/a",
        "memory.max",
        "" + 500 * MB,
        "memory.current",
        "" + 490 * MB,
        "memory.stat",
        "anon 1000\ninactive_file " + 300 * MB + "\nactive_file " + 100 * MB + "\nshmem 5");
    assertEquals(410 * MB, process("0::/a\n", mount("/", "v2", "cgroup2", "")).memory());
  }

  /** The mount of a container shows a group below the root, and may be all that is seen. */
  @Test
  void aMountOfAPartOfTheTree() throws IOException {
    group("v2", "memory.max", "" + 700 * MB, "memory.current", "0");
    group("v2/inner", "memory.max", "" + 600 * MB, "memory.current", "0");
    String mount = mount("/docker/1234", "v2", "cgroup2", "");
    assertEquals(600 * MB, process("0::/docker/1234/inner\n", mount).memory());
    assertEquals(700 * MB, process("0::/docker/1234\n", mount).memory());
    assertEquals(700 * MB, process("0::/elsewhere\n", mount).memory());
  }

  @Test
  void version1() throws IOException {
    group(
        "memory/user/job",
        "memory.limit_in_bytes",
        "" + 400 * MB,
        "memory.usage_in_bytes",
        "" + 350 * MB,
        "memory.stat",
        "cache 1\ninactive_file 7\ntotal_inactive_file " + 50 * MB + "\ntotal_active_file 0");
    group(
        "memory",
        "memory.limit_in_bytes",
        "9223372036854771712",
        "memory.usage_in_bytes",
        "" + 5000 * MB);
    group("cpu/user/job", "memory.limit_in_bytes", "1", "memory.usage_in_bytes", "1");
    String mounts =
        mount("/", "cpu", "cgroup", ",cpu,cpuacct") + mount("/", "memory", "cgroup", ",memory");
    ControlGroups own =
        process("7:cpu,cpuacct:/user/job\n5:memory:/user/job\n0::/user/job\n", mounts);
    assertEquals(100 * MB, own.memory());
  }

  @Test
  void hugePagesHaveLimitsOfTheirOwn() throws IOException {
    group(
        "v2/a",
        "memory.max",
        "max",
        "memory.current",
        "0",
        "hugetlb.2MB.max",
        "" + 4 * MB,
        "hugetlb.2MB.current",
        "" + 2 * MB);
    ControlGroups own = process("0::/a\n", mount("/", "v2", "cgroup2", ""));
    assertEquals(2 * MB, own.hugePages());
    assertEquals(Long.MAX_VALUE, own.memory());
  }

  @Test
  void withoutGroups() throws IOException {
    assertEquals(Long.MAX_VALUE, new ControlGroups(directory.resolve("none")).memory());
    assertEquals(Long.MAX_VALUE, process("garbage", "garbage - cgroup2").memory());
    group("v2/a", "memory.max", "many", "memory.current", "");
    assertEquals(Long.MAX_VALUE, process("0::/a\n", mount("/", "v2", "cgroup2", "")).memory());
  }
}
