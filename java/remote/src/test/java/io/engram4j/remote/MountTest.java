package io.engram4j.remote;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.hf.EngramModels;
import io.engram4j.hf.ModelFiles;
import io.engram4j.host.Mounts;
import io.engram4j.table.Placement;
import io.engram4j.table.RowSource;
import io.engram4j.table.Table;
import io.engram4j.table.TableOptions;
import io.engram4j.table.io.HeldTable;
import io.engram4j.table.io.PackedFile;
import io.engram4j.table.io.Packer;
import io.engram4j.table.io.TableOpener;
import io.engram4j.tck.RandomModel;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.api.io.TempDir;

/** Streamed rows of a file that lies behind a network block device and a mount in user space. */
@EnabledIf("isPossible")
class MountTest {
  @TempDir private Path directory;

  /** Whether this machine has what it takes: ci/install-tools.sh installs it. */
  static boolean isPossible() {
    return Files.isWritable(Path.of("/dev/fuse"))
        && Stream.of("nbdkit", "nbdfuse", "fusermount3")
            .allMatch(command -> Files.isExecutable(Path.of("/usr/bin", command)));
  }

  private Process start(String name, String... command) throws IOException {
    return new ProcessBuilder(command)
        .redirectErrorStream(true)
        .redirectOutput(directory.resolve(name + ".txt").toFile())
        .start();
  }

  private static void await(Path file, Process of) throws InterruptedException {
    for (int i = 0; i < 500 && of.isAlive() && !Files.exists(file); i++) {
      Thread.sleep(10);
    }
    assertTrue(Files.exists(file), file + " does not come");
  }

  private byte[] rows(RowSource source, int rowBytes, long... ids) {
    try (Arena own = Arena.ofShared()) { // reads are other threads'
      MemorySegment to = own.allocate((long) ids.length * rowBytes);
      source.read(own.allocateFrom(ValueLayout.JAVA_LONG, ids), ids.length, to);
      return to.toArray(ValueLayout.JAVA_BYTE);
    }
  }

  @Test
  void slowAndFailingMountsGiveRowsOrExceptions() throws Exception {
    Path model = Files.createDirectory(directory.resolve("model"));
    RandomModel.small(32, 2, List.of(1)).write(model, bytes -> {});
    ModelFiles files = EngramModels.read(model);
    Path packed = directory.resolve("rows.packed");
    Packer.pack(files.tableFile(1), packed, 1, bytes -> {});
    Path socket = directory.resolve("s");
    Path failing = directory.resolve("failing"); // reads fail while there is this file
    Path mount = Files.createDirectory(directory.resolve("mount"));
    Process server =
        start(
            "nbdkit",
            "nbdkit",
            "--foreground",
            "--readonly",
            "--unix",
            socket.toString(),
            "--filter=error",
            "--filter=delay",
            "file",
            packed.toString(),
            "error-pread-rate=100%",
            "error-pread-file=" + failing,
            "rdelay=2ms");
    await(socket, server);
    Process fuse =
        start("nbdfuse", "nbdfuse", "--readonly", mount.toString(), "--unix", socket.toString());
    Path file = mount.resolve("nbd");
    try (Arena arena = Arena.ofShared()) {
      await(file, fuse);
      Table truth = files.tableFile(1).map(arena);
      int rowBytes = (int) truth.rowBytes();
      assertTrue(String.valueOf(Mounts.served(file)).startsWith("fuse"), "" + Mounts.served(file));
      assertNull(Mounts.served(packed));
      try (HeldTable held =
          new TableOpener(TableOptions.defaults())
              .open(PackedFile.open(file).table(), truth.rows(), arena)) {
        assertEquals(Placement.STREAMED, held.placement()); // not mapped, though it would fit
      }
      TableOptions options = TableOptions.defaults().placement(Placement.STREAMED);
      try (HeldTable held =
          new TableOpener(options).open(PackedFile.open(file).table(), truth.rows(), arena)) {
        RowSource streamed = held.table()::read;
        SplittableRandom random = new SplittableRandom(1);
        for (int count : new int[] {1, 24, 300, 5000}) {
          long[] ids = random.longs(count, -1, truth.rows()).toArray();
          assertArrayEquals(
              rows(truth::read, rowBytes, ids), rows(streamed, rowBytes, ids), "" + count);
        }
        for (int i = 0; i < 5; i++) {
          Files.createFile(failing);
          drop();
          UncheckedIOException e =
              assertThrows(UncheckedIOException.class, () -> rows(streamed, rowBytes, 1, 2, 200));
          assertTrue(e.toString().contains(file.toString()), e.toString());
          Files.delete(failing);
          assertArrayEquals(
              rows(truth::read, rowBytes, 1, 2, 200), rows(streamed, rowBytes, 1, 2, 200));
        }
        server.destroyForcibly().waitFor();
        drop();
        long began = System.nanoTime();
        assertThrows(UncheckedIOException.class, () -> rows(streamed, rowBytes, 3, 4));
        long millis = (System.nanoTime() - began) / 1_000_000;
        assertTrue(millis < 5000, "it took " + millis + " ms to see that the server is gone");
      }
    } finally {
      start("umount", "fusermount3", "-u", "-z", mount.toString()).waitFor();
      fuse.destroy();
      fuse.waitFor(5, TimeUnit.SECONDS);
      fuse.destroyForcibly();
      server.destroyForcibly();
    }
  }

  /** What the page cache has would be read without asking the server. */
  private static void drop() throws IOException {
    Path caches = Path.of("/proc/sys/vm/drop_caches");
    if (Files.isWritable(caches)) {
      Files.writeString(caches, "1");
    }
  }
}
