package io.engram4j.valkey;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.remote.Manifest;
import io.engram4j.remote.RemoteOptions;
import io.engram4j.remote.Sharder;
import io.engram4j.remote.SlicedTables;
import io.engram4j.table.RowSource;
import io.engram4j.table.Table;
import io.engram4j.tck.TableTruth;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
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
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.api.io.TempDir;

/** Rows that lie in real servers are those of the file, whatever happens to the servers. */
@EnabledIf("io.engram4j.valkey.RedisProcess#isInstalled")
class ValkeyTest {
  private static final RemoteOptions OPTIONS =
      RemoteOptions.defaults().refresh(Duration.ofMillis(100)).deadline(Duration.ofSeconds(10));

  /** Fewer than are documented, for time: -Dtest.extra=-Dengram.faults=1000 runs those. */
  private static final int FAULTS = Integer.getInteger("engram.faults", 250);

  @TempDir private Path directory;
  private final List<RedisProcess> started = new ArrayList<>();
  private TableTruth truth;

  @BeforeEach
  void write() throws IOException {
    truth = TableTruth.write(directory.resolve("model"));
  }

  @AfterEach
  void close() throws Exception {
    for (RedisProcess redis : started) {
      redis.close();
    }
    truth.close();
  }

  private RedisProcess start(String name, String... options) throws Exception {
    RedisProcess redis = RedisProcess.start(directory.resolve(name), options);
    started.add(redis);
    return redis;
  }

  private Manifest load(String address) throws IOException {
    return new Sharder(truth.model(), "random", "1", 1).load(address, 2, bytes -> {});
  }

  @Test
  void rowsAreThoseOfTheFileForAnyBatch() throws Exception {
    RedisProcess redis = start("one");
    IOException empty =
        assertThrows(
            IOException.class, () -> SlicedTables.connect(redis.address(), OPTIONS).close());
    assertTrue(empty.toString().contains("engram shard --into"), empty.toString());
    Manifest manifest = load(redis.address());
    AtomicLong again = new AtomicLong();
    assertEquals(
        manifest,
        new Sharder(truth.model(), "random", "1", 1).load(redis.address(), 1, again::addAndGet));
    assertEquals(2 * manifest.bytes(), again.get());
    SplittableRandom random = new SplittableRandom(1);
    try (SlicedTables tables = SlicedTables.connect(redis.address(), OPTIONS)) {
      assertEquals(manifest, tables.manifest());
      RowSource source = tables.open(1).source();
      for (int count : new int[] {0, 1, 2, 24, 48, 1024, 1025, 49_152}) {
        long[] ids = truth.ids(random, count);
        assertArrayEquals(truth.expected(ids), truth.read(source, ids));
      }
      assertThrows(IndexOutOfBoundsException.class, () -> truth.read(source, truth.rows()));
    }
    String named = redis.address() + "/3?model=other";
    load(named);
    try (SlicedTables tables = SlicedTables.connect(named, OPTIONS)) {
      assertArrayEquals(truth.expected(7), truth.read(tables.open(1).source(), 7));
    }
  }

  @Test
  void damageAndLossAreNoRows() throws Exception {
    RedisProcess redis = start("one");
    Manifest manifest = load(redis.address());
    RowValues values = new RowValues("", manifest.generation(), manifest.table(1));
    String key = new String(values.key(0), StandardCharsets.UTF_8);
    RemoteOptions quick = OPTIONS.deadline(Duration.ofMillis(300));
    try (SlicedTables tables = SlicedTables.connect(redis.address(), quick)) {
      RowSource source = tables.open(1).source();
      assertArrayEquals(truth.expected(3), truth.read(source, 3));
      redis.cli("SETRANGE", key, "" + (3L * values.stride() + 5), "x");
      UncheckedIOException damaged =
          assertThrows(UncheckedIOException.class, () -> truth.read(source, 3));
      assertTrue(damaged.toString().contains("row 3 is damaged"));
      assertArrayEquals(truth.expected(4), truth.read(source, 4));
      aDamagedRowSpoilsNoOtherRequest(source);
      redis.cli("DEL", key);
      UncheckedIOException gone =
          assertThrows(UncheckedIOException.class, () -> truth.read(source, 4));
      assertTrue(gone.toString().contains("evicted"));
      load(redis.address());
      assertArrayEquals(truth.expected(3, 4), truth.read(source, 3, 4));
    }
    RedisProcess small = start("small", "--maxmemory", "500kb", "--maxmemory-policy", "noeviction");
    IOException room = assertThrows(IOException.class, () -> load(small.address()));
    assertTrue(room.toString().contains("" + manifest.bytes()), room.toString());
    RedisProcess evicts =
        start("evicts", "--maxmemory", "1gb", "--maxmemory-policy", "allkeys-lru");
    IOException policy = assertThrows(IOException.class, () -> load(evicts.address()));
    assertTrue(policy.toString().contains("allkeys-lru"), policy.toString());
  }

  private void aDamagedRowSpoilsNoOtherRequest(RowSource source) {
    RowSource.Round round = Objects.requireNonNull(source.group()).newRound();
    try (Arena arena = Arena.ofConfined()) {
      byte[] expected = truth.expected(4);
      MemorySegment rows = arena.allocate(expected.length);
      MemorySegment three = arena.allocateFrom(ValueLayout.JAVA_LONG, 3);
      MemorySegment four = arena.allocateFrom(ValueLayout.JAVA_LONG, 4);
      RowSource.Reading damaged = source.begin(three, 1, arena.allocate(expected.length), round);
      RowSource.Reading whole = source.begin(four, 1, rows, round);
      whole.end(); // in one pipeline with the other, behind it
      assertArrayEquals(expected, rows.toArray(ValueLayout.JAVA_BYTE));
      assertThrows(UncheckedIOException.class, damaged::end);
    }
  }

  @Test
  void aFrozenServerHoldsNobodyBeyondTheDeadline() throws Exception {
    RedisProcess redis = start("one");
    load(redis.address());
    Duration deadline = Duration.ofMillis(500);
    try (SlicedTables tables = SlicedTables.connect(redis.address(), OPTIONS.deadline(deadline))) {
      RowSource source = tables.open(1).source();
      for (int count : new int[] {2, 1000}) { // by the thread that waits, and by another
        long[] ids = truth.ids(new SplittableRandom(count), count);
        assertArrayEquals(truth.expected(ids), truth.read(source, ids));
        redis.signal("STOP");
        for (int i = 0; i < 3; i++) {
          long began = System.nanoTime();
          UncheckedIOException e =
              assertThrows(UncheckedIOException.class, () -> truth.read(source, ids));
          double over = (System.nanoTime() - began) / (double) deadline.toNanos();
          assertTrue(over > 0.9 && over < 1.1, over + " of the deadline");
          assertTrue(e.toString().contains("slice 0"), e.toString());
        }
        redis.signal("CONT");
        awaitServing(tables, redis.address());
        assertArrayEquals(truth.expected(ids), truth.read(source, ids));
      }
    }
  }

  /** Nobody waits for the one that is frozen, though all its connections have to be made anew. */
  @Test
  void aFrozenReplicaKeepsNobodyWaiting() throws Exception {
    RedisProcess frozen = start("frozen");
    RedisProcess other = start("other");
    for (RedisProcess redis : List.of(frozen, other)) {
      load(redis.address());
    }
    Duration deadline = Duration.ofSeconds(2);
    // it is not asked in the background what it serves, so that requests still go there
    RemoteOptions options =
        RemoteOptions.defaults().refresh(Duration.ofMinutes(10)).deadline(deadline);
    String addresses = frozen.address() + "," + other.address();
    try (SlicedTables tables = SlicedTables.connect(addresses, options)) {
      RowSource source = tables.open(1).source();
      SplittableRandom random = new SplittableRandom(3);
      for (int i = 0; i < 20; i++) {
        long[] ids = truth.ids(random, 50);
        assertArrayEquals(truth.expected(ids), truth.read(source, ids));
      }
      frozen.signal("STOP");
      long end = System.nanoTime() + 2 * deadline.toNanos();
      long longest = 0;
      while (System.nanoTime() < end) {
        long[] ids = truth.ids(random, 50);
        long began = System.nanoTime();
        assertArrayEquals(truth.expected(ids), truth.read(source, ids));
        longest = Math.max(longest, System.nanoTime() - began);
      }
      frozen.signal("CONT");
      assertTrue(longest < deadline.toNanos() / 4, longest / 1_000_000 + " ms");
      assertTrue(tables.hedges() > 0);
    }
  }

  @Test
  void deathsFreezesAndRestartsOfTwoReplicasLoseNothing() throws Exception {
    RedisProcess[] both = {start("a"), start("b")};
    for (RedisProcess redis : both) {
      load(redis.address());
      redis.cli("SAVE"); // so that one that starts again has its rows
    }
    String addresses = both[0].address() + "," + both[1].address();
    SplittableRandom random = new SplittableRandom(5);
    AtomicReference<Throwable> failure = new AtomicReference<>();
    AtomicBoolean stop = new AtomicBoolean();
    AtomicLong batches = new AtomicLong();
    try (SlicedTables tables = SlicedTables.connect(addresses, OPTIONS)) {
      RowSource source = tables.open(1).source();
      Thread user =
          Thread.ofPlatform()
              .start(() -> {
                SplittableRandom own = new SplittableRandom(9);
                try {
                  while (!stop.get()) {
                    long[] ids = truth.ids(own, 1 + own.nextInt(100));
                    assertArrayEquals(truth.expected(ids), truth.read(source, ids));
                    batches.incrementAndGet();
                  }
                } catch (Throwable e) {
                  failure.set(e);
                }
              });
      for (int i = 0; i < FAULTS && failure.get() == null; i++) {
        RedisProcess one = both[i % 2];
        if (random.nextInt(4) == 0) {
          one.kill();
          Thread.sleep(random.nextInt(10));
          one.start();
          awaitServing(tables, one.address());
        } else {
          one.signal("STOP");
          Thread.sleep(random.nextInt(30));
          one.signal("CONT");
        }
      }
      stop.set(true);
      user.join(20_000);
      assertFalse(user.isAlive(), "a batch hangs");
      if (failure.get() != null) {
        throw new AssertionError("after " + batches + " batches", failure.get());
      }
      System.out.printf(
          "%d faults, %s batches, %d requests failed, %d asked twice: no row wrong or lost%n",
          FAULTS, batches, tables.failures(), tables.hedges());
      assertTrue(tables.failures() > 0 && tables.hedges() > 0);
    }
  }

  /** Until it is known to be there again the other is the only replica. */
  private static void awaitServing(SlicedTables tables, String address) throws Exception {
    for (int i = 0; i < 1000; i++) {
      if (tables.endpoints().stream().anyMatch(e -> e.address().equals(address) && e.open())) {
        return;
      }
      Thread.sleep(5);
    }
    throw new AssertionError(address + " is not connected again");
  }

  @Test
  void aClusterFailsOver() throws Exception {
    List<RedisProcess> nodes = new ArrayList<>();
    List<String> create = new ArrayList<>(List.of("--cluster", "create"));
    for (int i = 0; i < 6; i++) {
      RedisProcess node =
          start("node-" + i, "--cluster-enabled", "yes", "--cluster-node-timeout", "500");
      nodes.add(node);
      create.add("127.0.0.1:" + node.port());
    }
    create.addAll(List.of("--cluster-replicas", "1", "--cluster-yes"));
    String created = nodes.getFirst().cli(create.toArray(new String[0]));
    assertTrue(created.contains("All 16384 slots covered"), created);
    for (int i = 0; i < 200 && nodes.stream().anyMatch(node -> !isReady(node)); i++) {
      Thread.sleep(50);
    }
    String address = nodes.getFirst().address(); // which dies first
    load(address);
    for (int i = 0; i < 3; i++) {
      nodes.get(i).cli("WAIT", "1", "5000");
    }
    Thread.sleep(300); // replicas have what their masters have
    SplittableRandom random = new SplittableRandom(3);
    try (SlicedTables tables = SlicedTables.connect(address, OPTIONS)) {
      RowSource source = tables.open(1).source();
      RowSource other = tables.open(3).source();
      Table third = truth.model().tableFile(3).map(Arena.ofAuto());
      for (int i = 0; i < 50; i++) {
        long[] ids = truth.ids(random, 48);
        assertArrayEquals(truth.expected(ids), truth.read(source, ids));
        assertArrayEquals(truth.read(third::read, 1, 2, 3), truth.read(other, 1, 2, 3));
      }
      for (int master = 0; master < 2; master++) {
        nodes.get(master).kill();
        long began = System.nanoTime();
        for (int i = 0; i < 100; i++) {
          long[] ids = truth.ids(random, 48);
          assertArrayEquals(truth.expected(ids), truth.read(source, ids));
          assertArrayEquals(truth.read(third::read, i, 2, 3), truth.read(other, i, 2, 3));
        }
        System.out.printf(
            "master %d died: 200 batches took %d ms%n",
            master, (System.nanoTime() - began) / 1_000_000);
        nodes.get(master).start();
        for (int i = 0; i < 200 && !isReady(nodes.get(master)); i++) {
          Thread.sleep(50);
        }
      }
    }
  }

  private static boolean isReady(RedisProcess node) {
    try {
      return node.cli("CLUSTER", "INFO").contains("cluster_state:ok")
          && node.cli("CLUSTER", "INFO").contains("cluster_known_nodes:6");
    } catch (Exception e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void addressesThatAreNone() {
    for (String address :
        new String[] {
          "redis://", "redis://h/x", "redis://h?name=a", "redis://h/1?model=a:b", "redis://me@h"
        }) {
      IllegalArgumentException e =
          assertThrows(
              IllegalArgumentException.class, () -> SlicedTables.connect(address, OPTIONS).close());
      assertTrue(e.toString().contains(address.replace("me@", "***@")), e.toString());
    }
    IOException nobody =
        assertThrows(
            IOException.class, () -> SlicedTables.connect("redis://127.0.0.1:1", OPTIONS).close());
    assertTrue(nobody.toString().contains("redis://127.0.0.1:1"), nobody.toString());
  }
}
