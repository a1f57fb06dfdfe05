package io.engram4j.tck;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.Backends;
import io.engram4j.EngramModel;
import io.engram4j.EngramRows;
import io.engram4j.hf.DirectoryPacker;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.hf.EngramModels;
import io.engram4j.hf.ModelFiles;
import io.engram4j.kernel.java.JavaBackend;
import io.engram4j.model.Dtype;
import io.engram4j.table.Placement;
import io.engram4j.table.TableOptions;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.SplittableRandom;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Tables of every family without the rest of the model. */
class TablesAloneTest {
  @TempDir static Path golden;
  @TempDir Path directory;

  @BeforeAll
  static void extract() throws IOException {
    Golden.extract(golden);
  }

  /** The same rows from the model, from its tables alone, and from packed ones. */
  @Test
  void tablesAlone() throws IOException {
    for (String name : List.of("mini-ple", "mini-ple-fp8", "mini-v41", "mini-paper")) {
      Path source = golden.resolve(name);
      EngramDirectory read = EngramDirectory.read(source);
      int layer = read.config().layerIds().getFirst();
      Path alone = directory.resolve(name);
      Files.createDirectories(alone);
      try (Stream<Path> files = Files.list(source)) {
        for (Path file :
            files.filter(f -> f.getFileName().toString().startsWith("model")).toList()) {
          Files.copy(file, alone.resolve(file.getFileName()));
        }
      }
      Path packed = directory.resolve(name + "-packed");
      new DirectoryPacker(read, packed, 1, bytes -> {}).pack();
      Path manifest = directory.resolve(name + "-raw");
      raw(EngramDirectory.read(packed), layer, packed, manifest);
      long rows = read.tableFile(layer).rows();
      long[] ids = new SplittableRandom(3).longs(50, -1, rows).toArray();
      int width = read.config().headDim();
      float[] expected = new float[ids.length * width];
      try (EngramModel model = read.open(new JavaBackend())) {
        model
            .layer(layer)
            .gather(
                MemorySegment.ofArray(ids), ids.length, MemorySegment.ofArray(expected), Dtype.F32);
      }
      for (Path path : List.of(source, alone, packed, manifest)) {
        EngramRows opened = EngramModels.openRows(path);
        assertEquals(rows, opened.rows(layer), path.toString());
        assertEquals(width, opened.width(layer));
        float[] actual = new float[expected.length];
        MemorySegment out = MemorySegment.ofArray(actual);
        opened.gather(layer, MemorySegment.ofArray(ids), ids.length, out, Dtype.F32);
        assertArrayEquals(expected, actual, path.toString());
        long[] outside = {rows};
        assertThrows(
            IndexOutOfBoundsException.class,
            () -> opened.gather(layer, MemorySegment.ofArray(outside), 1, out, Dtype.F32));
        opened.close();
        assertThrows(
            IllegalStateException.class,
            () -> opened.gather(layer, MemorySegment.ofArray(ids), 1, out, Dtype.F32));
      }
    }
    IOException e =
        assertThrows(IOException.class, () -> EngramModels.openRows(golden.resolve("formats")));
    assertTrue(String.valueOf(e.getMessage()).contains("formats"), e.getMessage());
  }

  private static float[] rows(EngramRows rows, int layer, long... ids) {
    float[] out = new float[ids.length * rows.width(layer)];
    rows.gather(
        layer, MemorySegment.ofArray(ids), ids.length, MemorySegment.ofArray(out), Dtype.F32);
    return out;
  }

  /** Each kind of path that stands for tables. */
  @Test
  void everyPath() throws IOException {
    Path v41 = golden.resolve("mini-v41");
    Path packed = directory.resolve("packed");
    new DirectoryPacker(EngramDirectory.read(v41), packed, 1, bytes -> {}).pack();
    try (EngramRows expected = EngramModels.openRows(v41)) {
      int layer = expected.layers().getFirst();
      for (Path path :
          List.of(
              v41.resolve("model.safetensors.index.json"),
              packed.resolve("engram-layer-" + layer + ".rows"))) {
        try (EngramRows actual = EngramModels.openRows(path)) {
          assertEquals(expected.rows(layer), actual.rows(layer), path.toString());
          assertArrayEquals(
              rows(expected, layer, 0, 7, -1), rows(actual, layer, 0, 7, -1), path.toString());
        }
      }
    }
    for (String gguf :
        List.of("mini-v41-gguf/mixed.gguf", "mini-ple-gguf/q8_0.gguf", "mini-v41-gguf-ds4")) {
      Path path = golden.resolve(gguf);
      ModelFiles files = EngramModels.read(path);
      int layer = files.config().layerIds().getFirst();
      try (EngramRows actual = EngramModels.openRows(path);
          EngramModel model = files.open(new JavaBackend())) {
        float[] expected = new float[2 * actual.width(layer)];
        MemorySegment out = MemorySegment.ofArray(expected);
        model.layer(layer).gather(MemorySegment.ofArray(new long[] {3, 0}), 2, out, Dtype.F32);
        assertArrayEquals(expected, rows(actual, layer, 3, 0), gguf);
      }
    }
  }

  /** Rows of 264 bytes in files whose names tell the layer, as some uploads have them. */
  @Test
  void filesOfAnotherManifest() throws IOException {
    byte[] bytes = new byte[40 * 264];
    new SplittableRandom(5).nextBytes(bytes);
    Files.write(directory.resolve("engram-L14.bin"), bytes);
    Files.writeString(directory.resolve("engram-manifest.json"), "{}");
    Path own = Files.createDirectories(directory.resolve("own"));
    Files.write(own.resolve("rows.bin"), bytes);
    Files.writeString(
        own.resolve("engram-rows.json"),
        """
        {"row_type": "F8_E4M3", "width": 256, "tables": [{"layer": 14, "file": "rows.bin"}]}
        """);
    Path manifest = directory.resolve("engram-manifest.json");
    try (EngramRows expected = EngramModels.openRows(own);
        EngramRows all = EngramModels.openRows(directory);
        EngramRows named = EngramModels.openRows(manifest)) {
      assertEquals(List.of(14), all.layers());
      assertEquals(40, named.rows(14));
      assertArrayEquals(rows(expected, 14, 39, 0, -1), rows(all, 14, 39, 0, -1));
      assertArrayEquals(rows(expected, 14, 39, 0, -1), rows(named, 14, 39, 0, -1));
    }
    Files.write(directory.resolve("engram-L14.bin"), Arrays.copyOf(bytes, 265));
    IOException e = assertThrows(IOException.class, () -> EngramModels.openRows(directory));
    assertTrue(String.valueOf(e.getMessage()).contains("no multiple of 264"), e.getMessage());
  }

  /** Writes a manifest beside a file of 100 bytes, and returns what opening it says. */
  private String refused(String manifest) throws IOException {
    Files.write(directory.resolve("rows.bin"), new byte[100]);
    Files.writeString(directory.resolve("engram-rows.json"), manifest);
    return String.valueOf(
        assertThrows(IOException.class, () -> EngramModels.openRows(directory), manifest)
            .getMessage());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "BF17 | 10 | 'rows.bin' | | row_type is 'BF17'",
        "BF16 | 0  | 'rows.bin' | | rows of 0 from byte 0",
        "BF16 | -1 | 'rows.bin' | | rows of -1",
        "BF16 | 9999999 | 'rows.bin' | | rows of 9999999",
        "BF16 | 7  | 'rows.bin' | | 100 bytes of rows, which are no multiple of 14",
        "BF16 | 51 | 'rows.bin' | | 100 bytes of rows, which are no multiple of 102",
        "BF16 | 10 | 'rows.bin' | , \"rows\": 6 | rows.bin has no room for 6 rows",
        "BF16 | 10 | 'rows.bin' | , \"rows\": 9223372036854775807 | no room for 9223372036854775807",
        "BF16 | 10 | 'rows.bin' | , \"offset\": -1 | from byte -1",
        "BF16 | 10 | 'rows.bin' | , \"offset\": 101 | has -1 bytes of rows",
        "BF16 | 10 | 'rows.bin' | , \"offset\": 20, \"rows\": 5 | no room for 5 rows",
        "BF16 | 10 | '../rows.bin' | | is no file name",
        "BF16 | 10 | '/etc/passwd' | | is no file name",
        "BF16 | 10 | 'gone.bin' | | gone.bin",
      })
  void wrongManifestsAreRefused(
      String type, int width, String file, @Nullable String more, String message)
      throws IOException {
    String said =
        refused(
            """
            {"row_type": "%s", "width": %d, "tables": [{"layer": 1, "file": "%s"%s}]}
            """
                .formatted(type, width, file, more == null ? "" : more));
    assertTrue(said.contains(message), said);
  }

  @Test
  void manifestsThatAreNoneAreRefused() throws IOException {
    assertTrue(refused("").contains("engram-rows.json"));
    assertTrue(refused("[]").contains("engram-rows.json"));
    assertTrue(refused("{\"tables\": []}").contains("no tables of rows"));
    assertTrue(refused("{}").contains("no tables of rows"));
  }

  /** A file that has shrunk since, no ids at all, memory that is too small, another layer. */
  @Test
  void misuse() throws IOException {
    Path file = Files.write(directory.resolve("rows.bin"), new byte[1 << 20]);
    Files.writeString(
        directory.resolve("engram-rows.json"),
        """
        {"row_type": "BF16", "width": 128, "tables": [{"layer": 1, "file": "rows.bin"}]}
        """);
    TableOptions options = TableOptions.defaults().placement(Placement.STREAMED);
    try (EngramRows rows = EngramModels.openRows(directory, new JavaBackend(), options)) {
      assertEquals(0, rows(rows, 1).length);
      assertEquals(128, rows(rows, 1, 4095).length);
      MemorySegment small = MemorySegment.ofArray(new float[127]);
      MemorySegment one = MemorySegment.ofArray(new long[1]);
      assertThrows(IllegalArgumentException.class, () -> rows.gather(1, one, 1, small, Dtype.F32));
      assertThrows(NoSuchElementException.class, () -> rows(rows, 2, 0));
      try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
        channel.truncate(1000);
      }
      assertThrows(UncheckedIOException.class, () -> rows(rows, 1, 4095));
      assertEquals(128, rows(rows, 1, 0).length); // what is still there is still served
    }
  }

  /** Calls under way end rightly, those after are refused, and nothing is read that was freed. */
  @ParameterizedTest
  @EnumSource(
      value = Placement.class,
      names = {"MAPPED", "STREAMED", "RESIDENT"})
  void closedWhileThreadsGather(Placement placement) throws Exception {
    Path source = golden.resolve("mini-ple");
    TableOptions options = TableOptions.defaults().placement(placement);
    for (int round = 0; round < 20; round++) {
      EngramRows rows = EngramModels.openRows(source, Backends.select(), options);
      int layer = rows.layers().getFirst();
      long[] ids = new SplittableRandom(round).longs(64, 0, rows.rows(layer)).toArray();
      float[] expected = rows(rows, layer, ids);
      CountDownLatch served = new CountDownLatch(6);
      try (ExecutorService threads = Executors.newFixedThreadPool(3)) {
        List<Future<?>> ends = new ArrayList<>();
        for (int thread = 0; thread < 3; thread++) {
          ends.add(
              threads.submit(() -> {
                while (true) {
                  float[] actual;
                  try {
                    actual = rows(rows, layer, ids);
                  } catch (IllegalStateException e) {
                    return;
                  }
                  assertArrayEquals(expected, actual);
                  served.countDown();
                }
              }));
        }
        assertTrue(served.await(60, TimeUnit.SECONDS), "nothing was served");
        rows.close();
        for (Future<?> end : ends) {
          end.get(60, TimeUnit.SECONDS);
        }
      }
      assertThrows(IllegalStateException.class, () -> rows(rows, layer, ids));
    }
  }

  /** Cuts the rows out of a packed file, and says in a manifest what they are. */
  private static void raw(EngramDirectory packed, int layer, Path from, Path to)
      throws IOException {
    Files.createDirectories(to);
    byte[] all = Files.readAllBytes(from.resolve("engram-layer-" + layer + ".rows"));
    long bytes = packed.tableFile(layer).bytes();
    Files.write(to.resolve("rows.bin"), Arrays.copyOfRange(all, 4096, (int) (4096 + bytes)));
    Files.writeString(
        to.resolve("engram-rows.json"),
        """
        {"row_type": "%s", "width": %d, "factor": %s,
         "tables": [{"layer": %d, "file": "rows.bin"}]}
        """
            .formatted(
                packed.tableFile(layer).type(),
                packed.config().headDim(),
                packed.tableFile(layer).factor(),
                layer));
  }
}
