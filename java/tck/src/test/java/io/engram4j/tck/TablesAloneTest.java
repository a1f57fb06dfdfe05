package io.engram4j.tck;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.EngramModel;
import io.engram4j.EngramRows;
import io.engram4j.hf.DirectoryPacker;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.hf.EngramModels;
import io.engram4j.kernel.java.JavaBackend;
import io.engram4j.model.Dtype;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

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
