package io.engram4j.remote.wire;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.Backends;
import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.remote.RemoteOptions;
import io.engram4j.remote.Sharder;
import io.engram4j.remote.SlicedTables;
import io.engram4j.table.Placement;
import io.engram4j.table.RowSource;
import io.engram4j.table.TableOptions;
import io.engram4j.tck.ByteTokenizer;
import io.engram4j.tck.TableTruth;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Objects;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The rows that a step wants of all layers take one message to each server, and one back. */
class ManyTest {
  private static final int SLICES = 3;

  @TempDir private Path directory;
  private TableTruth truth;
  private Path model;
  private Path sharded;

  @BeforeEach
  void write() throws IOException {
    model = directory.resolve("model");
    truth = TableTruth.write(model);
    ByteTokenizer.write(model);
    sharded = directory.resolve("sharded");
    new Sharder(truth.model(), "random", "1", SLICES).shard(sharded, 2, bytes -> {});
  }

  @AfterEach
  void close() {
    truth.close();
  }

  private SliceServer server(Placement placement, SliceServer.Which which) throws IOException {
    return new SliceServer(sharded, which, TableOptions.defaults().placement(placement), 1);
  }

  private static String address(SliceServer server) throws IOException {
    return "engram://127.0.0.1:" + server.listen("engram://127.0.0.1:0", false);
  }

  @ParameterizedTest
  @EnumSource(names = {"MAPPED", "STREAMED"})
  void aStepAsksEachServerOnce(Placement placement) throws IOException {
    int steps = 50;
    try (SliceServer first = server(placement, (layer, slice) -> slice == 0);
        SliceServer others = server(placement, (layer, slice) -> slice != 0);
        SlicedTables tables =
            SlicedTables.connect(address(first) + "," + address(others), RemoteOptions.defaults());
        EngramModel remote =
            EngramDirectory.read(sharded)
                .open(Backends.select(), TableOptions.defaults().remote(tables).cacheBytes(0));
        EngramModel local = EngramDirectory.read(model).open(Backends.select())) {
      EngramSequence here = local.newSequence();
      EngramSequence there = remote.newSequence();
      SplittableRandom random = new SplittableRandom(1);
      for (int step = 0; step < steps; step++) {
        int[] token = {random.nextInt(local.map().size())};
        here.append(token);
        there.append(token);
        there.prefetch(1, Runnable::run);
        float[] expected = new float[local.config().branches() * local.config().hiddenSize()];
        for (int i = 0; i < expected.length; i++) {
          expected[i] = i % 7 - 3;
        }
        float[] hidden = expected.clone();
        local.layers().forEach(layer -> layer.apply(here, 1, expected));
        for (EngramLayer layer : remote.layers()) {
          layer.apply(there, 1, hidden);
        }
        assertArrayEquals(expected, hidden, "step " + step);
      }
      System.out.printf(
          "%s: %d steps of two layers, %d and %d messages%n",
          placement, steps, first.requests(), others.requests());
      assertTrue(first.requests() <= steps && others.requests() <= steps);
      assertTrue(first.requests() > steps / 2 && others.requests() > steps / 2);
    }
  }

  @Test
  void manyRowsOfManySlicesAreThoseOfTheFile() throws IOException {
    try (SliceServer server = server(Placement.MAPPED, (layer, slice) -> true);
        SlicedTables tables = SlicedTables.connect(address(server), RemoteOptions.defaults());
        Arena arena = Arena.ofConfined()) {
      RowSource one = tables.open(1).source();
      RowSource other = tables.open(3).source();
      long least = Math.min(tables.open(1).rows(), tables.open(3).rows());
      assertEquals(one.group(), other.group());
      RowSource.Round round = Objects.requireNonNull(one.group()).newRound();
      SplittableRandom random = new SplittableRandom(2);
      for (int count : new int[] {0, 1, 24, 600, 1000, 1100, 2500, 70_000}) {
        long[] ids = random.longs(count, -1, least).toArray();
        long bytes = Math.max(1L, count * (long) truth.expected(0).length);
        MemorySegment rowIds = arena.allocateFrom(ValueLayout.JAVA_LONG, ids);
        MemorySegment rows = arena.allocate(bytes);
        MemorySegment others = arena.allocate(bytes);
        RowSource.Reading reading = one.begin(rowIds, count, rows, round);
        RowSource.Reading second = other.begin(rowIds, count, others, round);
        RowSource.Reading third = one.begin(rowIds, count, others, round); // over the second's
        second.end();
        third.end();
        reading.end();
        byte[] expected = truth.expected(ids);
        assertArrayEquals(expected, rows.toArray(ValueLayout.JAVA_BYTE));
        assertArrayEquals(expected, others.toArray(ValueLayout.JAVA_BYTE));
      }
    }
  }
}
