package io.engram4j.ucx;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.remote.RemoteOptions;
import io.engram4j.remote.Sharder;
import io.engram4j.remote.SlicedTables;
import io.engram4j.remote.wire.SliceServer;
import io.engram4j.table.Placement;
import io.engram4j.table.RowSource;
import io.engram4j.table.TableOptions;
import io.engram4j.tck.TableTruth;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Rows that servers of slices send are those of the file, over sockets and over UCX. */
class ServedRowsTest {
  private static final RemoteOptions OPTIONS =
      RemoteOptions.defaults().refresh(Duration.ofMillis(100)).deadline(Duration.ofSeconds(10));

  @TempDir private Path directory;
  private final List<SliceServer> servers = new ArrayList<>();
  private TableTruth truth;

  @BeforeEach
  void write() throws IOException {
    truth = TableTruth.write(directory.resolve("model"));
  }

  @AfterEach
  void close() throws IOException {
    for (SliceServer server : servers) {
      server.close();
    }
    truth.close();
  }

  /** Returns whether there is a libucp: ci/install-tools.sh installs one. */
  static boolean isInstalled() {
    try {
      return Ucp.load() != null;
    } catch (IOException e) {
      return false;
    }
  }

  private Path shard(int slices) throws IOException {
    Path out = directory.resolve("slices-" + slices);
    new Sharder(truth.model(), "random", "1", slices).shard(out, 2, bytes -> {});
    return out;
  }

  private String serve(String scheme, Path slices, Placement placement, String query, int... which)
      throws IOException {
    SliceServer server =
        new SliceServer(
            slices,
            (layer, slice) ->
                which.length == 0 || java.util.Arrays.stream(which).anyMatch(s -> s == slice),
            TableOptions.defaults().placement(placement),
            2);
    servers.add(server);
    int port = server.listen(scheme + "://127.0.0.1:0" + query, false);
    return scheme + "://127.0.0.1:" + port + query;
  }

  /** Returns the transports that there are here; UCX where its library is installed. */
  static List<String> schemes() {
    return isInstalled() ? List.of("engram", "ucx") : List.of("engram");
  }

  static List<Arguments> schemesAndPlacements() {
    List<Arguments> all = new ArrayList<>();
    for (String scheme : schemes()) {
      for (Placement placement :
          List.of(Placement.MAPPED, Placement.RESIDENT, Placement.STREAMED)) {
        all.add(Arguments.of(scheme, placement));
      }
    }
    return all;
  }

  @ParameterizedTest
  @MethodSource("schemesAndPlacements")
  void rowsAreThoseOfTheFileForAnyBatch(String scheme, Placement placement) throws IOException {
    SplittableRandom random = new SplittableRandom(1);
    for (int slices = 1; slices <= 4; slices++) {
      Path sliced = shard(slices);
      List<String> addresses = new ArrayList<>();
      for (int slice = 0; slice < slices; slice++) {
        addresses.add(serve(scheme, sliced, placement, "", slice));
      }
      try (SlicedTables tables = SlicedTables.connect(String.join(",", addresses), OPTIONS)) {
        RowSource source = tables.open(1).source();
        for (int count : new int[] {0, 1, 2, 24, 48, 1024, 1025, 2049, 49_152, 70_000}) {
          long[] ids = truth.ids(random, count);
          assertArrayEquals(truth.expected(ids), truth.read(source, ids), slices + ", " + count);
        }
        assertThrows(IndexOutOfBoundsException.class, () -> truth.read(source, truth.rows()));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("schemes")
  void whoHasAnotherKeyGetsNothing(String scheme) throws IOException {
    Path key = Files.write(directory.resolve("key"), new byte[32]);
    Path other =
        Files.write(
            directory.resolve("other"),
            new byte[] {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16});
    Path sliced = shard(1);
    String address = serve(scheme, sliced, Placement.MAPPED, "?key=" + key);
    try (SlicedTables tables = SlicedTables.connect(address, OPTIONS)) {
      assertArrayEquals(truth.expected(3), truth.read(tables.open(1).source(), 3));
    }
    for (String wrong :
        List.of(address.replace("" + key, "" + other), address.split("\\?", 2)[0])) {
      IOException e =
          assertThrows(IOException.class, () -> SlicedTables.connect(wrong, OPTIONS).close());
      assertTrue(e.toString().contains("another key"), e.toString());
    }
    Path small = Files.write(directory.resolve("small"), new byte[3]);
    assertThrows(IOException.class, () -> serve(scheme, sliced, Placement.MAPPED, "?key=" + small));
    assertThrows(
        IllegalArgumentException.class, () -> serve(scheme, sliced, Placement.MAPPED, "?other=rc"));
  }

  @ParameterizedTest
  @MethodSource("schemes")
  void allInterfacesMustBeMeant(String scheme) throws IOException {
    Path sliced = shard(1);
    try (SliceServer server =
        new SliceServer(
            sliced,
            (layer, slice) -> true,
            TableOptions.defaults().placement(Placement.MAPPED),
            1)) {
      IllegalArgumentException e =
          assertThrows(
              IllegalArgumentException.class, () -> server.listen(scheme + "://0.0.0.0:0", false));
      assertTrue(e.toString().contains("every interface"), e.toString());
      assertTrue(server.listen(scheme + "://lo:0", false) > 0);
      assertThrows(
          IllegalArgumentException.class, () -> server.listen("redis://127.0.0.1:0", false));
    }
    assertThrows(
        IllegalArgumentException.class,
        () ->
            new SliceServer(
                sliced,
                (layer, slice) -> false,
                TableOptions.defaults().placement(Placement.MAPPED),
                1));
  }

  @ParameterizedTest
  @MethodSource("schemes")
  void aSliceThatIsNotTheManifestsIsNotServed(String scheme) throws IOException {
    Path sliced = shard(2);
    Path file = Sharder.file(sliced, 1, 0);
    Files.copy(Sharder.file(sliced, 1, 1), file, java.nio.file.StandardCopyOption.REPLACE_EXISTING);
    IOException e =
        assertThrows(IOException.class, () -> serve(scheme, sliced, Placement.MAPPED, ""));
    assertTrue(e.toString().contains("digest"), e.toString());
  }

  @ParameterizedTest
  @MethodSource("schemes")
  void aServerThatIsClosedIsNoReplica(String scheme) throws IOException {
    Path sliced = shard(1);
    String first = serve(scheme, sliced, Placement.MAPPED, "");
    String second = serve(scheme, sliced, Placement.MAPPED, "");
    try (SlicedTables tables =
        SlicedTables.connect(first + "," + second, OPTIONS.deadline(Duration.ofSeconds(1)))) {
      RowSource source = tables.open(1).source();
      servers.removeFirst().close();
      for (int i = 0; i < 100; i++) {
        assertArrayEquals(truth.expected(i), truth.read(source, i));
      }
      servers.removeFirst().close();
      UncheckedIOException e =
          assertThrows(UncheckedIOException.class, () -> truth.read(source, 1));
      assertTrue(e.toString().contains("slice 0"), e.toString());
      assertEquals(2, tables.endpoints().size());
    }
  }

  @ParameterizedTest
  @MethodSource("schemes")
  void closingWhileThreadsReadIsAnExceptionForThem(String scheme) throws Exception {
    Path sliced = shard(2);
    for (int round = 0; round < 10; round++) {
      String address = serve(scheme, sliced, Placement.MAPPED, "");
      SlicedTables tables = SlicedTables.connect(address, OPTIONS);
      RowSource source = tables.open(1).source();
      AtomicReference<Throwable> wrong = new AtomicReference<>();
      AtomicInteger read = new AtomicInteger();
      List<Thread> threads = new ArrayList<>();
      for (int i = 0; i < 3; i++) {
        SplittableRandom random = new SplittableRandom(i);
        threads.add(
            Thread.ofPlatform()
                .start(() -> {
                  try {
                    while (true) {
                      long[] ids = truth.ids(random, 1 + random.nextInt(3000));
                      assertArrayEquals(truth.expected(ids), truth.read(source, ids));
                      read.incrementAndGet();
                    }
                  } catch (IllegalStateException | UncheckedIOException e) {
                    return; // it was closed
                  } catch (Throwable e) {
                    wrong.set(e);
                  }
                }));
      }
      while (read.get() < 20 && wrong.get() == null) {
        Thread.sleep(1);
      }
      if (round % 2 == 0) {
        tables.close();
      } else {
        servers.removeLast().close(); // the other side; then nobody answers
        tables.close();
      }
      for (Thread thread : threads) {
        thread.join(20_000);
        assertFalse(thread.isAlive(), "a read hangs");
      }
      assertNull(wrong.get());
    }
  }
}
