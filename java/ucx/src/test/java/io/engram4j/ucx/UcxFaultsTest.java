package io.engram4j.ucx;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.remote.RemoteOptions;
import io.engram4j.remote.Sharder;
import io.engram4j.remote.SlicedTables;
import io.engram4j.table.RowSource;
import io.engram4j.tck.TableTruth;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.api.io.TempDir;

/** Servers that die, freeze or cannot be reached: real processes, over UCX. */
@EnabledIf("io.engram4j.ucx.ServedRowsTest#isInstalled")
class UcxFaultsTest {
  private static final RemoteOptions OPTIONS =
      RemoteOptions.defaults().refresh(Duration.ofMillis(100)).deadline(Duration.ofSeconds(10));

  /** Fewer than are documented, for time: -Dtest.extra=-Dengram.faults=1000 runs those. */
  private static final int FAULTS = Integer.getInteger("engram.faults", 120);

  @TempDir private Path directory;
  private final List<UcxServing> started = new ArrayList<>();
  private Path slices;
  private TableTruth truth;

  @BeforeEach
  void write() throws IOException {
    truth = TableTruth.write(directory.resolve("model"));
    slices = directory.resolve("slices");
    new Sharder(truth.model(), "random", "1", 1).shard(slices, 2, bytes -> {});
  }

  @AfterEach
  void close() throws InterruptedException {
    for (UcxServing serving : started) {
      serving.close();
    }
    truth.close();
  }

  private UcxServing start(String name) throws Exception {
    UcxServing serving = UcxServing.start(slices, directory.resolve(name));
    started.add(serving);
    return serving;
  }

  @Test
  void deathsFreezesAndRestartsOfTwoReplicasLoseNothing() throws Exception {
    UcxServing[] both = {start("a"), start("b")};
    String addresses = both[0].address() + "," + both[1].address();
    SplittableRandom random = new SplittableRandom(5);
    AtomicReference<Throwable> failure = new AtomicReference<>();
    AtomicBoolean stop = new AtomicBoolean();
    AtomicLong batches = new AtomicLong();
    AtomicLong longest = new AtomicLong();
    try (SlicedTables tables = SlicedTables.connect(addresses, OPTIONS)) {
      RowSource source = tables.open(1).source();
      List<Thread> users = new ArrayList<>();
      for (int i = 0; i < 2; i++) {
        SplittableRandom own = new SplittableRandom(i);
        users.add(
            Thread.ofPlatform()
                .start(() -> {
                  try {
                    while (!stop.get()) {
                      int many = own.nextInt(50) == 0 ? 5000 : 100;
                      long[] ids = truth.ids(own, 1 + own.nextInt(many));
                      long began = System.nanoTime();
                      byte[] got = truth.read(source, ids);
                      long took = System.nanoTime() - began;
                      longest.accumulateAndGet(took, Math::max);
                      assertArrayEquals(truth.expected(ids), got);
                      batches.incrementAndGet();
                    }
                  } catch (Throwable e) {
                    failure.set(e);
                  }
                }));
      }
      for (int i = 0; i < FAULTS && failure.get() == null; i++) {
        UcxServing one = both[i % 2];
        if (random.nextInt(4) == 0) {
          one.kill();
          Thread.sleep(random.nextInt(10));
          one.restart();
          awaitServing(tables, one.address());
        } else {
          one.signal("STOP");
          Thread.sleep(random.nextInt(30));
          one.signal("CONT");
        }
      }
      stop.set(true);
      for (Thread user : users) {
        user.join(20_000);
        assertFalse(user.isAlive(), "a batch hangs");
      }
      if (failure.get() != null) {
        throw new AssertionError("after " + batches + " batches", failure.get());
      }
      System.out.printf(
          "%d faults, %s batches, %d requests failed, %d asked twice, longest %d ms: no row wrong"
              + " or lost%n",
          FAULTS, batches, tables.failures(), tables.hedges(), longest.get() / 1_000_000);
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

  private static void assertInTime(Duration deadline, Runnable read) {
    long began = System.nanoTime();
    UncheckedIOException e = assertThrows(UncheckedIOException.class, read::run);
    double over = (System.nanoTime() - began) / (double) deadline.toNanos();
    assertTrue(over > 0.9 && over < 1.1, over + " of the deadline");
    assertTrue(e.toString().contains("slice 0"), e.toString());
    assertTrue(e.toString().contains("ucx://"), e.toString());
  }

  @Test
  void aFrozenServerHoldsNobodyBeyondTheDeadline() throws Exception {
    UcxServing frozen = start("frozen");
    UcxServing other = start("other");
    Duration deadline = Duration.ofMillis(500);
    try (SlicedTables tables = SlicedTables.connect(frozen.address(), OPTIONS.deadline(deadline));
        SlicedTables good = SlicedTables.connect(other.address(), OPTIONS)) {
      RowSource source = tables.open(1).source();
      RowSource rest = good.open(1).source();
      assertArrayEquals(truth.expected(1), truth.read(source, 1));
      frozen.signal("STOP");
      AtomicBoolean stop = new AtomicBoolean();
      AtomicLong served = new AtomicLong();
      Thread others =
          Thread.ofPlatform()
              .start(() -> {
                while (!stop.get()) {
                  assertArrayEquals(truth.expected(2, 3), truth.read(rest, 2, 3));
                  served.incrementAndGet();
                }
              });
      for (int i = 0; i < 3; i++) {
        assertInTime(deadline, () -> truth.read(source, 1, 2));
      }
      stop.set(true);
      others.join();
      assertTrue(served.get() > 500, served + " batches of others");
      frozen.signal("CONT");
      Thread.sleep(500);
      assertArrayEquals(truth.expected(1, 2), truth.read(source, 1, 2));
    }
  }

  static boolean hasNamespaces() throws Exception {
    return ServedRowsTest.isInstalled()
        && run("ip", "netns", "add", "engram-probe")
        && run("ip", "netns", "del", "engram-probe");
  }

  private static boolean run(String... command) throws Exception {
    try {
      Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
      process.getInputStream().readAllBytes();
      return process.waitFor() == 0;
    } catch (IOException e) {
      return false; // there is no such command
    }
  }

  @Test
  @EnabledIf("hasNamespaces")
  void aLinkThatIsDownIsNoHang() throws Exception {
    String name = "engram-" + ProcessHandle.current().pid();
    assertTrue(run("ip", "netns", "add", name));
    try {
      assertTrue(run("ip", "link", "add", "engv0", "type", "veth", "peer", "name", "engv1"));
      assertTrue(run("ip", "link", "set", "engv1", "netns", name));
      assertTrue(run("ip", "addr", "add", "10.213.7.1/24", "dev", "engv0"));
      assertTrue(run("ip", "link", "set", "engv0", "up"));
      List<String> inside = List.of("ip", "netns", "exec", name);
      for (String setup :
          new String[] {
            "ip addr add 10.213.7.2/24 dev engv1", "ip link set engv1 up", "ip link set lo up"
          }) {
        List<String> command = new ArrayList<>(inside);
        command.addAll(List.of(setup.split(" ")));
        assertTrue(run(command.toArray(new String[0])), setup);
      }
      UcxServing far =
          UcxServing.start(slices, "10.213.7.2", directory.resolve("far"), inside, Map.of());
      started.add(far);
      UcxServing near = start("near");
      Duration deadline = Duration.ofMillis(500);
      RemoteOptions quick = OPTIONS.deadline(deadline);
      try (SlicedTables alone = SlicedTables.connect(far.address(), quick);
          SlicedTables both = SlicedTables.connect(far.address() + "," + near.address(), OPTIONS)) {
        RowSource only = alone.open(1).source();
        RowSource either = both.open(1).source();
        assertArrayEquals(truth.expected(1), truth.read(only, 1));
        assertArrayEquals(truth.expected(1), truth.read(either, 1));
        assertTrue(run("ip", "link", "set", "engv0", "down"));
        for (int i = 0; i < 3; i++) {
          assertInTime(deadline, () -> truth.read(only, 1, 2));
        }
        for (int i = 0; i < 200; i++) {
          assertArrayEquals(truth.expected(i % 250, 5), truth.read(either, i, 5));
        }
        assertTrue(run("ip", "link", "set", "engv0", "up"));
        boolean back = false;
        for (int i = 0; i < 60 && !back; i++) {
          try {
            back = java.util.Arrays.equals(truth.expected(1, 2), truth.read(only, 1, 2));
          } catch (UncheckedIOException e) {
            Thread.sleep(100); // TCP tries again after a while
          }
        }
        assertTrue(back, "the server is not reached again");
      }
    } finally {
      assertTrue(run("ip", "netns", "del", name));
      run("ip", "link", "del", "engv0");
    }
  }

  @Test
  void rowsThatTheOtherSideFetchesAreTheSame() throws Exception {
    UcxServing serving =
        UcxServing.start(
            slices,
            "127.0.0.1",
            directory.resolve("rendezvous"),
            List.of(),
            Map.of("UCX_RNDV_THRESH", "1024"));
    started.add(serving);
    SplittableRandom random = new SplittableRandom(1);
    try (SlicedTables tables = SlicedTables.connect(serving.address(), OPTIONS)) {
      RowSource source = tables.open(1).source();
      for (int count : new int[] {1, 48, 1024, 5000, 49_152}) {
        long[] ids = truth.ids(random, count);
        assertArrayEquals(truth.expected(ids), truth.read(source, ids));
      }
    }
  }

  @Test
  void aClientThatDoesNotReadKeepsNobodyWaiting() throws Exception {
    UcxServing serving = start("one");
    UcxServing client = UcxServing.client(serving.address(), directory.resolve("client"));
    started.add(client);
    client.signal("STOP"); // with requests of 49,152 rows under way
    try (SlicedTables tables = SlicedTables.connect(serving.address(), OPTIONS)) {
      RowSource source = tables.open(1).source();
      SplittableRandom random = new SplittableRandom(1);
      for (int i = 0; i < 500; i++) {
        long[] ids = truth.ids(random, 100);
        assertArrayEquals(truth.expected(ids), truth.read(source, ids));
      }
    }
    client.signal("CONT");
  }

  private static int length(String text) {
    return text.length(); // compiled, it tests nothing: a null is a signal
  }

  @Test
  void nullPointersStayExceptions() throws Exception {
    UcxServing serving = start("one");
    String[] texts = new String[2];
    int caught = 0;
    try (SlicedTables tables = SlicedTables.connect(serving.address(), OPTIONS)) {
      RowSource source = tables.open(1).source();
      for (int i = 0; i < 20_000; i++) {
        try {
          caught -= length(texts[i % 2]);
        } catch (NullPointerException e) {
          caught++;
        }
        if (i % 1000 == 0) {
          assertArrayEquals(truth.expected(i % 200), truth.read(source, i % 200));
        }
      }
    }
    assertEquals(20_000, caught);
  }
}
