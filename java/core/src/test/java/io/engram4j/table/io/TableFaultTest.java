package io.engram4j.table.io;

import static io.engram4j.table.io.PlacementTest.ROWS;
import static io.engram4j.table.io.PlacementTest.ids;
import static io.engram4j.table.io.PlacementTest.read;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.table.Placement;
import io.engram4j.table.RowType;
import io.engram4j.table.Table;
import io.engram4j.table.TableOptions;
import io.engram4j.table.io.TableFile.Region;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What becomes of tables when their files, or their owners, do what they should not. */
class TableFaultTest {
  @TempDir Path directory;

  private TableFile packed() throws IOException {
    TableFile shards = PackedFileTest.source(directory, ROWS, 256);
    return Packer.pack(shards, directory.resolve("packed.rows"), 2, done -> {}).table();
  }

  private static TableOptions streamed() {
    return TableOptions.defaults().placement(Placement.STREAMED).queueDepth(4);
  }

  /** Linux opens a directory or a device for reading, and then fails or never ends. */
  @Test
  void whatIsNoFileIsRefused() throws IOException {
    Path folder = Files.createDirectory(directory.resolve("folder"));
    for (Path no : List.of(folder, Path.of("/dev/zero"))) {
      TableFile file = new TableFile("rows", RowType.F32, 1, 8, new Region(no, 0, 32, 32), null);
      for (Placement placement :
          EnumSet.complementOf(EnumSet.of(Placement.PINNED, Placement.REMOTE))) {
        TableOptions options =
            TableOptions.defaults().placement(placement).sharedDirectory(directory);
        try (Arena arena = Arena.ofShared()) {
          IOException e =
              assertThrows(IOException.class, () -> new TableOpener(options).open(file, 1, arena));
          assertTrue(String.valueOf(e.getMessage()).contains(no.toString()), e.toString());
        }
      }
    }
  }

  @Test
  void aFileThatIsReplacedStaysAsItWasForThoseWhoHaveIt() throws IOException {
    TableFile file = packed();
    Path other = Files.createDirectory(directory.resolve("other"));
    TableFile shards = PackedFileTest.source(other, ROWS + 1, 256);
    Packer.pack(shards, other.resolve("packed.rows"), 2, done -> {});
    try (Arena arena = Arena.ofShared();
        HeldTable streamed = new TableOpener(streamed()).open(file, 1, arena)) {
      Table mapped = file.map(arena);
      byte[] before = read(mapped, 0, 17, ROWS - 1);
      Files.move(
          other.resolve("packed.rows"), file.weight().file(), StandardCopyOption.REPLACE_EXISTING);
      assertArrayEquals(before, read(mapped, 0, 17, ROWS - 1));
      assertArrayEquals(before, read(streamed.table(), 0, 17, ROWS - 1));
      assertEquals(ROWS + 1, PackedFile.open(file.weight().file()).table().rows());
    }
  }

  /** Mounts a file system, opens its table, takes the file system away, and reads on. */
  static final class Unmount {
    private Unmount() {}

    private static int umount(String... arguments) throws Exception {
      List<String> command = new ArrayList<>(List.of("umount"));
      command.addAll(List.of(arguments));
      Process process =
          new ProcessBuilder(command)
              .redirectErrorStream(true)
              .redirectOutput(ProcessBuilder.Redirect.DISCARD)
              .start();
      return process.waitFor();
    }

    public static void main(String[] args) throws Exception {
      Path mount = Path.of(args[0]);
      TableFile file = PackedFile.open(mount.resolve("packed.rows")).table();
      try (Arena arena = Arena.ofShared();
          HeldTable streamed = new TableOpener(streamed()).open(file, 1, arena)) {
        Table mapped = file.map(arena);
        byte[] before = read(mapped, 0, 17, ROWS - 1);
        assertArrayEquals(before, read(streamed.table(), 0, 17, ROWS - 1));
        assertFalse(umount(mount.toString()) == 0, "the system refuses: it is in use");
        assertEquals(0, umount("-l", mount.toString()));
        assertFalse(Files.exists(mount.resolve("packed.rows")));
        SplittableRandom random = new SplittableRandom(1);
        for (int i = 0; i < 100; i++) {
          long[] some = ids(random, 50);
          assertArrayEquals(read(mapped, some), read(streamed.table(), some));
        }
        assertArrayEquals(before, read(mapped, 0, 17, ROWS - 1));
      }
      System.out.println("all rows are right");
    }
  }

  @Test
  void aFileSystemThatIsTakenAway() throws Exception {
    packed();
    Path mount = Files.createDirectory(directory.resolve("mount"));
    Path output = directory.resolve("unmount.txt");
    String script =
        "mount -t tmpfs none \"$1\" && cp \"$2\" \"$1\" || { echo no mounts; exit 0; }; "
            + "shift 2; exec \"$@\"";
    List<String> command =
        List.of(
            "unshare",
            "--mount",
            "--map-root-user",
            "sh",
            "-c",
            script,
            "sh",
            mount.toString(),
            directory.resolve("packed.rows").toString(),
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-cp",
            System.getProperty("java.class.path"),
            Unmount.class.getName(),
            mount.toString());
    try {
      new ProcessBuilder(command)
          .redirectErrorStream(true)
          .redirectOutput(output.toFile())
          .start()
          .waitFor();
    } catch (IOException e) {
      Files.writeString(output, "no mounts: " + e);
    }
    String out = Files.readString(output);
    if (out.contains("no mounts") || out.startsWith("unshare:")) {
      System.out.println("nothing can be mounted here, so nothing was unmounted: " + out);
    } else {
      assertTrue(out.contains("all rows are right"), out);
    }
  }

  @Test
  void closingWaitsForLookupsAndRefusesLaterOnes() throws Exception {
    TableFile file = packed();
    for (int round = 0; round < 30; round++) {
      try (Arena arena = Arena.ofShared()) {
        Table truth = file.map(arena);
        HeldTable held = new TableOpener(streamed()).open(file, 1, arena);
        AtomicReference<Throwable> failed = new AtomicReference<>();
        AtomicInteger lookups = new AtomicInteger();
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
          SplittableRandom random = new SplittableRandom(i);
          threads.add(
              Thread.ofPlatform()
                  .start(() -> lookUpUntilClosed(random, truth, held.table(), lookups, failed)));
        }
        while (lookups.get() < 10 + round) {
          Thread.onSpinWait();
        }
        held.close();
        held.close();
        for (Thread thread : threads) {
          thread.join(20_000);
          assertFalse(thread.isAlive(), "a lookup hangs");
        }
        assertEquals(null, failed.get());
      }
    }
  }

  private static void lookUpUntilClosed(
      SplittableRandom random,
      Table truth,
      Table table,
      AtomicInteger lookups,
      AtomicReference<Throwable> failed) {
    try {
      for (; ; ) {
        long[] some = ids(random, random.nextInt(1, 40));
        byte[] rows;
        try {
          rows = read(table, some);
        } catch (IllegalStateException e) {
          return; // closed
        }
        assertArrayEquals(read(truth, some), rows);
        lookups.incrementAndGet();
      }
    } catch (Throwable e) {
      failed.set(e);
    }
  }
}
