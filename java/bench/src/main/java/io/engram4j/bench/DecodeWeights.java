package io.engram4j.bench;

import io.engram4j.model.LayerLayout;
import io.engram4j.table.RowType;
import io.engram4j.table.io.PackedFile;
import io.engram4j.table.io.Packer;
import io.engram4j.table.io.TableFile;
import io.engram4j.table.io.TableFile.Region;
import io.engram4j.weights.Linear;
import io.engram4j.weights.Projection;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.SplittableRandom;

/** Random weights and tables of real size for {@link DecodeLoop}. */
final class DecodeWeights {
  private static final int INPUTS = 6144;

  private DecodeWeights() {}

  /** A projection of fp8 weights without NaN. */
  static Projection projection(int outputs) {
    SplittableRandom random = new SplittableRandom(outputs);
    MemorySegment weight = Arena.global().allocate((long) outputs * INPUTS, 64);
    for (long i = 0; i < weight.byteSize() / 8; i++) {
      weight.setAtIndex(ValueLayout.JAVA_LONG, i, random.nextLong() & 0xefefefefefefefefL);
    }
    long tiles = (long) Linear.tiles(outputs) * Linear.tiles(INPUTS);
    MemorySegment scale = Arena.global().allocate(tiles, 64).fill((byte) 113);
    return new Projection(
        List.of(new Linear("w", outputs, INPUTS, RowType.F8_E4M3, weight, scale, null)));
  }

  /** A packed table of random rows; made once, and kept for the next time. */
  static TableFile table(Path directory, LayerLayout layout) throws IOException {
    Path file = directory.resolve("decode-" + layout.layerId() + "-" + layout.rows() + ".rows");
    if (Files.exists(file)) {
      return PackedFile.open(file).table();
    }
    Path weight = directory.resolve("decode.weight");
    Path scale = directory.resolve("decode.scale");
    fill(weight, layout.rows() * 256, 0xefefefefefefefefL, 0);
    fill(scale, layout.rows() * 8, 0x0707070707070707L, 0x7070707070707070L);
    TableFile apart =
        new TableFile(
            "layer " + layout.layerId(),
            RowType.F8_E4M3,
            layout.rows(),
            256,
            new Region(weight, 0, 256, 256),
            new Region(scale, 0, 8, 8));
    TableFile packed = Packer.pack(apart, file, 2, bytes -> {}).table();
    Files.delete(weight);
    Files.delete(scale);
    return packed;
  }

  private static void fill(Path file, long bytes, long mask, long ones) throws IOException {
    SplittableRandom random = new SplittableRandom(bytes);
    ByteBuffer block = ByteBuffer.allocateDirect(8 << 20);
    try (FileChannel out =
        FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
      for (long done = 0; done < bytes; done += block.capacity()) {
        block.clear().limit((int) Math.min(block.capacity(), bytes - done));
        for (int i = 0; i + 8 <= block.limit(); i += 8) {
          block.putLong(i, (random.nextLong() & mask) | ones);
        }
        while (block.hasRemaining()) {
          out.write(block);
        }
      }
    }
  }
}
