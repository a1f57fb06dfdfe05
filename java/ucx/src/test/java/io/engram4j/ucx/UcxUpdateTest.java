package io.engram4j.ucx;

import static java.nio.file.StandardOpenOption.READ;
import static java.nio.file.StandardOpenOption.WRITE;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.remote.RemoteOptions;
import io.engram4j.remote.Sharder;
import io.engram4j.remote.SlicedTables;
import io.engram4j.table.RowSource;
import io.engram4j.table.io.TableFile;
import io.engram4j.tck.TableTruth;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
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

  @AfterEach
  void close() throws InterruptedException {
    for (UcxServing serving : started) {
      serving.close();
    }
  }

  /** Changes a bit of a row in each half of a table. */
  private static void change(TableFile table) throws IOException {
    long size = table.rows() * table.headDim();
    try (FileChannel file = FileChannel.open(table.weight().file(), READ, WRITE)) {
      for (long at : new long[] {40, size - 40}) {
        ByteBuffer one = ByteBuffer.allocate(1);
        file.read(one, table.weight().offset() + at);
        one.put(0, (byte) (one.get(0) ^ 1)).rewind();
        file.write(one, table.weight().offset() + at);
      }
    }
  }

  private static List<Path> slice(Path slices, int slice) {
    return List.of(Sharder.file(slices, 1, slice), Sharder.file(slices, 3, slice));
  }

  @Test
  void clientsChangeOverWhenAllSlicesAreNew() throws Exception {
    try (TableTruth truth = TableTruth.write(directory.resolve("old"));
        TableTruth changed = TableTruth.write(directory.resolve("changed"))) {
      update(truth, changed);
    }
  }

  private void update(TableTruth truth, TableTruth changed) throws Exception {
    change(changed.model().tableFile(1));
    Path oldSlices = directory.resolve("slices-old");
    Path newSlices = directory.resolve("slices-new");
    new Sharder(truth.model(), "random", "1", SLICES).shard(oldSlices, 2, bytes -> {});
    new Sharder(changed.model(), "random", "2", SLICES).shard(newSlices, 2, bytes -> {});
    long[] all = LongStream.range(0, truth.rows()).toArray();
    byte[] before = truth.expected(all);
    byte[] after = changed.expected(all);
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
                    byte[] got = truth.read(source, all);
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
