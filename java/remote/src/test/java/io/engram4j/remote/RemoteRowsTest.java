package io.engram4j.remote;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.Backends;
import io.engram4j.EngramModel;
import io.engram4j.EngramRows;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.hf.EngramModels;
import io.engram4j.model.Dtype;
import io.engram4j.remote.TestServers.Mode;
import io.engram4j.remote.TestServers.Server;
import io.engram4j.table.RemoteTables.RemoteTable;
import io.engram4j.table.RowSource;
import io.engram4j.table.Table;
import io.engram4j.table.TableOptions;
import io.engram4j.table.io.HeldTable;
import io.engram4j.table.io.TableOpener;
import io.engram4j.tck.ByteTokenizer;
import io.engram4j.tck.RandomModel;
import io.engram4j.tck.TableTruth;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Rows of other machines are those of the file, whatever happens to the servers. */
class RemoteRowsTest {
  private static final RemoteOptions OPTIONS =
      RemoteOptions.defaults().refresh(Duration.ofMillis(20));
  private static final int FAULTS = 1000;

  @TempDir private Path directory;
  private final TestServers servers = new TestServers();
  private Path model;
  private TableTruth truth;

  @BeforeEach
  void write() throws IOException {
    model = directory.resolve("model");
    truth = TableTruth.write(model);
    ByteTokenizer.write(model);
  }

  @AfterEach
  void close() {
    servers.close();
    truth.close();
  }

  private Path sharded(int slices) throws IOException {
    Path to = directory.resolve("sharded-" + slices);
    new Sharder(EngramModels.read(model), "random", "1", slices).shard(to, 2, bytes -> {});
    return to;
  }

  private SlicedTables connect(String... addresses) throws IOException {
    return SlicedTables.connect(null, List.of(addresses), List.of(servers), OPTIONS);
  }

  @Test
  void rowsAreThoseOfTheFileForAnyBatchAndAnySlices() throws IOException {
    SplittableRandom random = new SplittableRandom(1);
    for (int slices = 1; slices <= 4; slices++) {
      servers.add("test://a", sharded(slices));
      try (SlicedTables tables = connect("test://a")) {
        RemoteTable table = tables.open(1);
        for (int count : new int[] {0, 1, 2, 3, 24, 48, 1000, 49_152, 70_000}) {
          long[] ids = truth.ids(random, count);
          assertArrayEquals(truth.expected(ids), truth.read(table.source(), ids));
        }
        long[] same = new long[500];
        java.util.Arrays.fill(same, truth.rows() - 1);
        assertArrayEquals(truth.expected(same), truth.read(table.source(), same));
        assertEquals(truth.rows(), table.rows());
        IndexOutOfBoundsException e =
            assertThrows(
                IndexOutOfBoundsException.class, () -> truth.read(table.source(), 3, truth.rows()));
        assertTrue(e.toString().contains("" + truth.rows()), e.toString());
      }
    }
  }

  @Test
  void aModelWhoseTablesAreElsewhereIsTheSameModel() throws Exception {
    Path sharded = sharded(3);
    servers.add("test://a", sharded, 0, 1);
    servers.add("test://b", sharded, 1, 2);
    for (int layer : new int[] {1, 3}) { // a client has everything but rows
      for (int slice = 0; slice < 3; slice++) {
        Path file = Sharder.file(sharded, layer, slice);
        Files.move(file, directory.resolve("kept-" + file.getFileName()));
      }
    }
    try (SlicedTables tables = connect("test://a", "test://b");
        EngramModel remote =
            EngramDirectory.read(sharded)
                .open(
                    Backends.select(), TableOptions.defaults().remote(tables).cacheBytes(1 << 16));
        EngramModel local = EngramDirectory.read(model).open(Backends.select())) {
      for (int layer : new int[] {1, 3}) {
        assertArrayEquals(all(local, layer), all(remote, layer));
      }
      assertTrue(tables.endpoints().stream().allMatch(endpoint -> endpoint.requests() > 0));
      TableOptions options = TableOptions.defaults().remote(tables);
      try (EngramRows rows = EngramModels.openRows(Backends.select(), options)) {
        assertEquals(List.of(1, 3), List.copyOf(rows.layers()));
        assertEquals(truth.rows(), rows.rows(1));
      }
      IllegalArgumentException ofFiles =
          assertThrows(
              IllegalArgumentException.class,
              () ->
                  new TableOpener(options)
                      .open(EngramModels.read(model).tableFile(1), 1, Arena.ofAuto()));
      assertTrue(ofFiles.toString().contains("other machines"), ofFiles.toString());
    }
    IOException e =
        assertThrows(
            IOException.class, () -> EngramDirectory.read(sharded).open(Backends.select()));
    assertTrue(e.toString().contains("embed.weight"), e.toString());
  }

  /** Gathers all rows of a layer. */
  private static float[] all(EngramModel model, int layer) {
    long rows = model.layer(layer).layout().rows();
    int width = model.config().headDim();
    try (Arena own = Arena.ofConfined()) {
      MemorySegment ids = own.allocate(8 * rows);
      for (long i = 0; i < rows; i++) {
        ids.setAtIndex(ValueLayout.JAVA_LONG, i, i);
      }
      MemorySegment out = own.allocate(4 * rows * width);
      model.layer(layer).gather(ids, rows, out, Dtype.F32);
      return out.toArray(ValueLayout.JAVA_FLOAT);
    }
  }

  @Test
  void deadFrozenAndRestartedServersLoseNothingWhileOneReplicaLives() throws Exception {
    Path sharded = sharded(2);
    Server[] all = {servers.add("test://a", sharded), servers.add("test://b", sharded)};
    SplittableRandom random = new SplittableRandom(7);
    AtomicReference<Throwable> failure = new AtomicReference<>();
    AtomicBoolean stop = new AtomicBoolean();
    AtomicLong batches = new AtomicLong();
    try (SlicedTables tables = connect("test://a", "test://b")) {
      RowSource source = tables.open(1).source();
      List<Thread> users = new ArrayList<>();
      for (int user = 0; user < 2; user++) {
        SplittableRandom own = new SplittableRandom(user);
        users.add(
            Thread.ofPlatform()
                .start(() -> {
                  try {
                    while (!stop.get()) {
                      long[] ids = truth.ids(own, 1 + own.nextInt(200));
                      assertArrayEquals(truth.expected(ids), truth.read(source, ids));
                      batches.incrementAndGet();
                    }
                  } catch (Throwable e) {
                    failure.set(e);
                  }
                }));
      }
      for (int i = 0; i < FAULTS && failure.get() == null; i++) {
        Server one = all[random.nextInt(2)];
        one.set(random.nextBoolean() ? Mode.DEAD : Mode.FROZEN);
        Thread.sleep(random.nextInt(4));
        one.set(Mode.ANSWERS);
        Thread.sleep(random.nextInt(4));
      }
      stop.set(true);
      for (Thread user : users) {
        user.join(10_000);
        assertFalse(user.isAlive(), "a batch hangs");
      }
      if (failure.get() != null) {
        throw new AssertionError("after " + batches + " batches", failure.get());
      }
      System.out.printf(
          "%d faults, %s batches, %d requests failed, %d asked twice: no row wrong or lost%n",
          FAULTS, batches, tables.failures(), tables.hedges());
      assertTrue(tables.failures() > 0 && tables.hedges() > 0);
    }
  }

  @Test
  void theThirdReplicaIsAskedWhereOneIsFrozenAndOneDies() throws Exception {
    Path sharded = sharded(2);
    Server a = servers.add("test://a", sharded);
    Server b = servers.add("test://b", sharded);
    Server c = servers.add("test://c", sharded);
    Server[] all = {a, b, c};
    try (SlicedTables tables = connect("test://a", "test://b", "test://c")) {
      RowSource source = tables.open(1).source();
      for (int i = 0; i < 30; i++) {
        Server frozen = all[i % 3];
        Server dead = all[(i + 1 + i / 3 % 2) % 3];
        frozen.set(Mode.FROZEN);
        dead.set(Mode.DEAD);
        assertArrayEquals(
            truth.expected(i, 2, truth.rows() - 1), truth.read(source, i, 2, truth.rows() - 1));
        frozen.set(Mode.ANSWERS);
        dead.set(Mode.ANSWERS);
        for (int wait = 0; wait < 500 && serving(tables) < 3; wait++) {
          Thread.sleep(5);
        }
      }
    }
  }

  private static long serving(SlicedTables tables) {
    return tables.endpoints().stream().filter(EndpointStatistics::open).count();
  }

  @Test
  void closedWhileThreadsReadTheyGetTheirRowsOrAreRefused() throws Exception {
    Path sharded = sharded(2);
    servers.add("test://a", sharded);
    for (int round = 0; round < 20; round++) {
      SlicedTables tables = connect("test://a");
      RowSource source = tables.open(1).source();
      AtomicReference<Throwable> failure = new AtomicReference<>();
      AtomicLong batches = new AtomicLong();
      List<Thread> users = new ArrayList<>();
      for (int user = 0; user < 3; user++) {
        SplittableRandom own = new SplittableRandom(user);
        users.add(
            Thread.ofPlatform()
                .start(() -> {
                  try {
                    while (true) {
                      long[] ids = truth.ids(own, 100);
                      assertArrayEquals(truth.expected(ids), truth.read(source, ids));
                      batches.incrementAndGet();
                    }
                  } catch (IllegalStateException e) {
                    return; // closed
                  } catch (Throwable e) {
                    failure.set(e);
                  }
                }));
      }
      while (batches.get() < 10 && failure.get() == null) {
        Thread.onSpinWait();
      }
      tables.close();
      for (Thread user : users) {
        user.join(10_000);
        assertFalse(user.isAlive(), "a batch hangs");
      }
      if (failure.get() != null) {
        throw new AssertionError(failure.get());
      }
      assertThrows(IllegalStateException.class, () -> truth.read(source, 1));
    }
  }

  /** Slice 0 is served by one that is frozen, slice 1 by another too. */
  @Test
  void whoWaitsForOneLayerLooksAfterTheOthers() throws Exception {
    Path sharded = sharded(2);
    Server frozen = servers.add("test://a", sharded);
    servers.add("test://b", sharded, 1);
    RemoteOptions options = OPTIONS.deadline(Duration.ofMillis(300));
    try (SlicedTables tables =
            SlicedTables.connect(null, List.of("test://a", "test://b"), List.of(servers), options);
        Arena arena = Arena.ofConfined()) {
      RowSource source = tables.open(1).source();
      RowSource.Round round = Objects.requireNonNull(source.group()).newRound();
      long other = truth.rows() - 1;
      byte[] expected = truth.expected(other);
      MemorySegment first = arena.allocateFrom(ValueLayout.JAVA_LONG, 0);
      MemorySegment last = arena.allocateFrom(ValueLayout.JAVA_LONG, other);
      MemorySegment lost = arena.allocate(expected.length);
      MemorySegment rows = arena.allocate(expected.length);
      frozen.set(Mode.FROZEN);
      long began = System.nanoTime();
      RowSource.Reading hopeless = source.begin(first, 1, lost, round);
      RowSource.Reading reading = source.begin(last, 1, rows, round);
      assertThrows(UncheckedIOException.class, hopeless::end);
      reading.end(); // its time is over, but its rows came meanwhile
      long ms = (System.nanoTime() - began) / 1_000_000;
      assertArrayEquals(expected, rows.toArray(ValueLayout.JAVA_BYTE));
      assertTrue(ms >= 300 && ms < 450, ms + " ms");
      frozen.set(Mode.ANSWERS);
      assertThrows(IllegalArgumentException.class, () -> source.begin(first, 1, rows, OTHERS));
    }
  }

  private static final RowSource.Round OTHERS = new RowSource.Round() {};

  @Test
  void oneReplyThatIsLateIsOneFailureOfAllThatWaitForIt() throws Exception {
    Path sharded = sharded(4);
    Server slow = servers.add("test://a", sharded);
    servers.add("test://b", sharded);
    RemoteOptions options = OPTIONS.refresh(Duration.ofHours(1)); // nobody opens it again
    try (SlicedTables tables =
        SlicedTables.connect(null, List.of("test://a", "test://b"), List.of(servers), options)) {
      RowSource source = tables.open(1).source();
      long[] ids = new long[4]; // one of each slice
      java.util.Arrays.setAll(ids, i -> i * (truth.rows() / 4) + 1);
      slow.delayNanos = 50_000_000;
      for (int i = 0; slow.messages.get() == 0 && i < 10; i++) {
        assertArrayEquals(truth.expected(ids), truth.read(source, ids));
      }
      assertEquals(1, slow.messages.get());
      assertEquals(4, tables.hedges());
      assertEquals(2, serving(tables), "it was slow once");
      long end = System.nanoTime() + Duration.ofSeconds(20).toNanos();
      while (serving(tables) == 2 && System.nanoTime() - end < 0) {
        assertArrayEquals(truth.expected(ids), truth.read(source, ids));
      }
      assertEquals(1, serving(tables), "it was slow again and again");
    }
  }

  @Test
  void withoutAnyReplicaABatchFailsInTimeAndSaysWhy() throws Exception {
    Server server = servers.add("test://a", sharded(2));
    RemoteOptions options = OPTIONS.deadline(Duration.ofMillis(200));
    try (SlicedTables tables =
        SlicedTables.connect(null, List.of("test://a"), List.of(servers), options)) {
      RowSource source = tables.open(1).source();
      for (Mode mode : new Mode[] {Mode.DEAD, Mode.FROZEN}) {
        server.set(mode);
        long began = System.nanoTime();
        UncheckedIOException e =
            assertThrows(UncheckedIOException.class, () -> truth.read(source, 1, 2));
        long ms = (System.nanoTime() - began) / 1_000_000;
        assertTrue(ms >= 200 && ms < 1000, ms + " ms");
        String generation = tables.manifest().generation().substring(0, 12);
        for (String part : new String[] {"test://a", "slice 0", generation, "200 ms"}) {
          assertTrue(e.toString().contains(part), e.toString());
        }
        server.set(Mode.ANSWERS);
        Thread.sleep(100);
        assertArrayEquals(truth.expected(5, 4), truth.read(source, 5, 4));
      }
    }
  }

  @Test
  void aNewGenerationIsTakenWhenAllOfItIsThere() throws Exception {
    Path old = sharded(2);
    Path changed = Files.createDirectory(directory.resolve("changed"));
    RandomModel.small(32, 2, List.of(1, 3)).write(changed, bytes -> {});
    Path file = EngramModels.read(changed).tableFile(1).weight().file();
    byte[] bytes = Files.readAllBytes(file);
    bytes[(int) EngramModels.read(changed).tableFile(1).weight().offset() + 40] ^= 1;
    Files.write(file, bytes);
    Path next = directory.resolve("next");
    new Sharder(EngramModels.read(changed), "random", "2", 2).shard(next, 2, done -> {});
    Server[] both = {servers.add("test://a", old), servers.add("test://b", old)};
    Table newRows = EngramModels.read(changed).tableFile(1).map(Arena.ofAuto());
    long[] all = java.util.stream.LongStream.range(0, truth.rows()).toArray();
    byte[] before = truth.expected(all);
    byte[] after = truth.read(newRows::read, all);
    assertFalse(java.util.Arrays.equals(before, after));
    AtomicReference<Throwable> failure = new AtomicReference<>();
    AtomicBoolean stop = new AtomicBoolean();
    AtomicLong seenOld = new AtomicLong();
    AtomicLong seenNew = new AtomicLong();
    try (SlicedTables tables = connect("test://a", "test://b")) {
      RowSource source = tables.open(1).source();
      TableOptions cached = TableOptions.defaults().remote(tables).cacheBytes(1 << 20);
      HeldTable held = new TableOpener(cached).open(tables.open(1));
      SlicedTables pinned =
          SlicedTables.connect(
              null, List.of("test://a", "test://b"), List.of(servers), OPTIONS.pin());
      assertTrue(held.table().mayChange());
      assertEquals(0, pinned.open(1).source().generation());
      Thread user =
          Thread.ofPlatform()
              .start(() -> {
                try {
                  while (!stop.get()) {
                    boolean byCache = (seenOld.get() + seenNew.get()) % 2 == 0;
                    byte[] got = truth.read(byCache ? held.table()::read : source, all);
                    boolean isNew = java.util.Arrays.equals(after, got);
                    assertTrue(isNew || java.util.Arrays.equals(before, got), "of two generations");
                    assertTrue(isNew || seenNew.get() == 0, "back to the old one");
                    (isNew ? seenNew : seenOld).incrementAndGet();
                  }
                } catch (Throwable e) {
                  failure.set(e);
                }
              });
      Thread.sleep(200);
      for (Server server : both) {
        server.set(Mode.DEAD);
        server.slices = servers.load(next);
        server.manifest = Manifest.read(next);
        Thread.sleep(50);
        server.set(Mode.ANSWERS);
        Thread.sleep(500);
      }
      stop.set(true);
      user.join();
      if (failure.get() != null) {
        throw new AssertionError(failure.get());
      }
      assertTrue(seenOld.get() > 0 && seenNew.get() > 0, seenOld + " and " + seenNew);
      assertEquals("2", tables.manifest().revision());
      assertArrayEquals(after, truth.read(held.table()::read, all));
      held.close();
      assertEquals("1", pinned.manifest().revision());
      pinned.close();
    }
  }

  @Test
  void whatIsNotServedWholeIsRefused() throws Exception {
    Path sharded = sharded(3);
    servers.add("test://a", sharded, 0, 1);
    IOException partial = assertThrows(IOException.class, () -> connect("test://a").close());
    assertTrue(partial.toString().contains("test://a serves"), partial.toString());
    IOException dead = assertThrows(IOException.class, () -> connect("test://none").close());
    assertTrue(dead.toString().contains("connection refused"), dead.toString());
    IllegalArgumentException scheme =
        assertThrows(IllegalArgumentException.class, () -> connect("gopher://a").close());
    assertTrue(scheme.toString().contains("[test]"), scheme.toString());
    servers.add("test://b", sharded, 2);
    Manifest other =
        new Manifest(
            "random", "9", Manifest.read(sharded).tables(), List.of("test://a", "test://b"));
    IOException pinned =
        assertThrows(
            IOException.class,
            () ->
                SlicedTables.connect(other, other.endpoints(), List.of(servers), OPTIONS).close());
    assertTrue(pinned.toString().contains(other.generation()), pinned.toString());
  }
}
