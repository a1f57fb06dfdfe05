package io.engram4j.ucx;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.hf.EngramModels;
import io.engram4j.hf.ModelFiles;
import io.engram4j.remote.RemoteOptions;
import io.engram4j.remote.Sharder;
import io.engram4j.remote.SlicedTables;
import io.engram4j.table.RowSource;
import io.engram4j.table.io.TableFile;
import io.engram4j.tck.RandomModel;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.api.io.TempDir;

/**
 * Rows are changed under clients at work: one server after another starts again with new slices.
 */
@EnabledIf("io.engram4j.ucx.ServedRowsTest#isInstalled")
class UcxUpdateTest {
  private static final int SLICES = 2;

  @TempDir private Path directory;
  private final List<UcxServing> started = new ArrayList<>();
  private long rowBytes;

  @AfterEach
  void close() throws InterruptedException {
    for (UcxServing serving : started) {
      serving.close();
    }
  }

  private ModelFiles model(String name, boolean changed) throws IOException {
    Path path = Files.createDirectory(directory.resolve(name));
    RandomModel.small(32, 2, List.of(1, 3)).write(path, bytes -> {});
    ModelFiles model = EngramModels.read(path);
    TableFile table = model.tableFile(1);
    if (changed) { // a bit of a row in each half
      Path file = table.weight().file();
      byte[] bytes = Files.readAllBytes(file);
      long size = table.rows() * table.headDim();
      bytes[(int) table.weight().offset() + 40] ^= 1;
      bytes[(int) (table.weight().offset() + size - 40)] ^= 1;
      Files.write(file, bytes);
    }
    return model;
  }

  private byte[] rows(RowSource source, long[] ids) {
    try (Arena own = Arena.ofConfined()) {
      MemorySegment to = own.allocate(ids.length * rowBytes);
      source.read(own.allocateFrom(ValueLayout.JAVA_LONG, ids), ids.length, to);
      return to.toArray(ValueLayout.JAVA_BYTE);
    }
  }

  private static List<Path> slice(Path slices, int slice) {
    return List.of(Sharder.file(slices, 1, slice), Sharder.file(slices, 3, slice));
  }

  @Test
  void clientsChangeOverWhenAllSlicesAreNew() throws Exception {
    ModelFiles old = model("old", false);
    ModelFiles changed = model("changed", true);
    Path oldSlices = directory.resolve("slices-old");
    Path newSlices = directory.resolve("slices-new");
    new Sharder(old, "random", "1", SLICES).shard(oldSlices, 2, bytes -> {});
    new Sharder(changed, "random", "2", SLICES).shard(newSlices, 2, bytes -> {});
    rowBytes = old.tableFile(1).rowBytes();
    byte[] before;
    byte[] after;
    long[] all = LongStream.range(0, old.tableFile(1).rows()).toArray();
    try (Arena arena = Arena.ofConfined()) {
      before = rows(old.tableFile(1).map(arena)::read, all);
      after = rows(changed.tableFile(1).map(arena)::read, all);
    }
    assertFalse(Arrays.equals(before, after));
    List<String> addresses = new ArrayList<>();
    for (int i = 0; i < 2 * SLICES; i++) { // two replicas of each
      UcxServing serving =
          UcxServing.start(slice(oldSlices, i % SLICES), directory.resolve("s" + i));
      started.add(serving);
      addresses.add(serving.address());
    }
    RemoteOptions options =
        RemoteOptions.defaults().refresh(Duration.ofMillis(100)).deadline(Duration.ofSeconds(10));
    AtomicReference<Throwable> failure = new AtomicReference<>();
    AtomicBoolean stop = new AtomicBoolean();
    AtomicLong seenOld = new AtomicLong();
    AtomicLong seenNew = new AtomicLong();
    try (SlicedTables tables = SlicedTables.connect(String.join(",", addresses), options)) {
      RowSource source = tables.open(1).source();
      Thread user =
          Thread.ofPlatform()
              .start(() -> {
                try {
                  while (!stop.get()) {
                    byte[] got = rows(source, all);
                    boolean isNew = Arrays.equals(after, got);
                    assertTrue(isNew || Arrays.equals(before, got), "of two generations");
                    assertTrue(isNew || seenNew.get() == 0, "back to the old one");
                    (isNew ? seenNew : seenOld).incrementAndGet();
                  }
                } catch (Throwable e) {
                  failure.set(e);
                }
              });
      for (int i = 0; i < started.size() && failure.get() == null; i++) {
        assertTrue(i >= SLICES || seenNew.get() == 0, "new rows before all slices are new");
        started.get(i).kill();
        started.get(i).restart(slice(newSlices, i % SLICES));
        awaitOpen(tables, addresses.get(i));
      }
      awaitMore(seenNew, failure);
      stop.set(true);
      user.join(20_000);
      assertFalse(user.isAlive(), "a batch hangs");
      if (failure.get() != null) {
        throw new AssertionError(seenOld + " old and " + seenNew + " new", failure.get());
      }
      assertTrue(seenOld.get() > 0, "no batch of the old ones");
      assertEquals("2", tables.manifest().revision());
    }
  }

  /** Waits until a server is connected again; the other replica of its slice goes next. */
  private static void awaitOpen(SlicedTables tables, String address) throws Exception {
    for (int i = 0; i < 2000; i++) {
      if (tables.endpoints().stream().anyMatch(e -> e.address().equals(address) && e.open())) {
        return;
      }
      Thread.sleep(5);
    }
    throw new AssertionError(address + " is not connected again");
  }

  private static void awaitMore(AtomicLong batches, AtomicReference<Throwable> failure)
      throws InterruptedException {
    for (int i = 0; i < 2000 && batches.get() < 10 && failure.get() == null; i++) {
      Thread.sleep(5);
    }
  }
}
