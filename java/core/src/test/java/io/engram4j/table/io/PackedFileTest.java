package io.engram4j.table.io;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.kernel.java.JavaGather;
import io.engram4j.model.Dtype;
import io.engram4j.table.RowType;
import io.engram4j.table.Table;
import io.engram4j.table.io.TableFile.Region;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Packing keeps every row, survives being ended at any moment, and tells what is damaged. */
class PackedFileTest {
  private static final long ROWS = 100_001;

  @TempDir Path directory;

  /** An fp8 table of random bytes, elements and scales in two files, at odd offsets. */
  static TableFile source(Path directory, long rows, int headDim) throws IOException {
    SplittableRandom random = new SplittableRandom(rows);
    int scales = RowType.F8_E4M3.scaleBytes(headDim);
    byte[] weight = new byte[Math.toIntExact(rows * headDim + 13)];
    byte[] scale = new byte[Math.toIntExact(rows * scales + 7)];
    random.nextBytes(weight);
    random.nextBytes(scale);
    Path weightFile = Files.write(directory.resolve("weight.bin"), weight);
    Path scaleFile = Files.write(directory.resolve("scale.bin"), scale);
    return new TableFile(
        "rows",
        RowType.F8_E4M3,
        rows,
        headDim,
        new Region(weightFile, 13, headDim, headDim),
        new Region(scaleFile, 7, scales, scales));
  }

  private static float[] gather(Table table, long... ids) {
    float[] out = new float[ids.length * table.headDim()];
    MemorySegment rows = MemorySegment.ofArray(out);
    JavaGather.gather(table, MemorySegment.ofArray(ids), ids.length, rows, Dtype.F32);
    return out;
  }

  private static void requireSame(TableFile a, TableFile b) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      Table first = a.map(arena);
      Table second = b.map(arena);
      for (long row = 0; row < a.rows(); row += 97) {
        org.junit.jupiter.api.Assertions.assertArrayEquals(
            gather(first, row), gather(second, row), "row " + row);
      }
      long last = a.rows() - 1;
      org.junit.jupiter.api.Assertions.assertArrayEquals(
          gather(first, 0, last), gather(second, 0, last));
    }
  }

  @Test
  void everyRowIsKept() throws IOException {
    for (int headDim : new int[] {256, 32, 7, 48}) {
      Path own = Files.createDirectories(directory.resolve("d" + headDim));
      TableFile source = source(own, headDim == 256 ? ROWS : 5000, headDim);
      AtomicLong bytes = new AtomicLong();
      PackedFile packed = Packer.pack(source, own.resolve("rows"), 3, bytes::addAndGet);
      assertEquals(source.bytes(), bytes.get());
      assertTrue(packed.table().isInterleaved());
      requireSame(source, packed.table());
      PackedFile.open(own.resolve("rows")).verify(2, done -> {});
      assertEquals(List.of("rows", "scale.bin", "weight.bin"), names(own));
    }
  }

  /** One scale for the whole table: none, usual ones, and a zero, which is not none. */
  @Test
  void theScaleOfATableIsKept() throws IOException {
    Path file = Files.write(directory.resolve("codes.bin"), new byte[64 * 32]);
    for (float factor : new float[] {1, 209 * 0x1p-20f, -3, 0}) {
      TableFile source =
          TableFile.interleaved("rows", RowType.F8_E4M3_TENSOR, 64, 32, factor, file, 0);
      Path packed = directory.resolve("rows-" + factor);
      assertEquals(factor, Packer.pack(source, packed, 1, bytes -> {}).table().factor());
      assertEquals(factor, PackedFile.open(packed).table().factor());
    }
  }

  private static List<String> names(Path directory) throws IOException {
    try (var files = Files.list(directory)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  @Test
  void aFlippedBitIsFoundAndItsRowsNamed() throws IOException {
    Path target = directory.resolve("rows");
    Packer.pack(source(directory, ROWS, 256), target, 2, done -> {});
    flip(target, 4096 + 50_000L * 264 + 3);
    IOException e =
        assertThrows(IOException.class, () -> PackedFile.open(target).verify(2, done -> {}));
    assertTrue(
        String.valueOf(e.getMessage()).contains("rows 47616 to 63487 are damaged"), e.toString());
  }

  private static void flip(Path file, long at) throws IOException {
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      ByteBuffer one = ByteBuffer.allocate(1);
      channel.read(one, at);
      one.put(0, (byte) (one.get(0) ^ 4)).flip();
      channel.write(one, at);
    }
  }

  @Test
  void whatIsNoPackedFileIsRefused() throws IOException {
    Path target = directory.resolve("rows");
    Packer.pack(source(directory, 3000, 32), target, 2, done -> {});
    byte[] good = Files.readAllBytes(target);
    SplittableRandom random = new SplittableRandom(1);
    for (int i = 0; i < 3000; i++) {
      byte[] bad = good.clone();
      int at = i < 500 ? i : random.nextInt(good.length);
      if (at >= 4096 + 3000 * 33 && at < good.length - 4) {
        continue; // what fills the page before the checksums is nobody's
      }
      bad[at] ^= (byte) (1 << random.nextInt(8));
      Files.write(target, random.nextInt(10) == 0 ? java.util.Arrays.copyOf(bad, at) : bad);
      assertThrows(
          IOException.class, () -> PackedFile.open(target).verify(1, done -> {}), "at " + at);
    }
  }

  /** Packs slowly, so that it can be ended in the midst of it. */
  static final class Pack {
    private Pack() {}

    public static void main(String[] args) throws IOException {
      Path directory = Path.of(args[0]);
      TableFile source =
          new TableFile(
              "rows",
              RowType.F8_E4M3,
              ROWS,
              256,
              new Region(directory.resolve("weight.bin"), 13, 256, 256),
              new Region(directory.resolve("scale.bin"), 7, 8, 8));
      Packer.pack(
          source,
          directory.resolve("rows"),
          1,
          done -> {
            System.out.println("chunk");
            java.util.concurrent.locks.LockSupport.parkNanos(30_000_000);
          });
    }
  }

  @Test
  void killedAtAnyMomentItGoesOn() throws IOException, InterruptedException {
    TableFile source = source(directory, ROWS, 256);
    Path target = directory.resolve("rows");
    int rounds = 0;
    for (int chunks = 1; chunks <= 5; chunks += 2, rounds++) {
      Process process =
          new ProcessBuilder(
                  Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                  "-cp",
                  System.getProperty("java.class.path"),
                  Pack.class.getName(),
                  directory.toString())
              .redirectErrorStream(true)
              .start();
      try (var lines = process.inputReader()) {
        for (int i = 0; i < chunks; i++) {
          assertEquals("chunk", lines.readLine());
        }
        process.destroyForcibly();
      }
      assertTrue(process.waitFor(1, TimeUnit.MINUTES));
      assertFalse(Files.exists(target), "nothing half done is under the file's name");
    }
    assertEquals(3, rounds);
    // what a killed process left may also be damaged: it is read anew
    flip(directory.resolve("rows.part"), 4096 + 100);
    PackedFile packed = Packer.pack(source, target, 2, done -> {});
    packed.verify(2, done -> {});
    requireSame(source, packed.table());
  }

  @Test
  void anotherSourceBeginsAnew() throws IOException {
    TableFile source = source(directory, ROWS, 256);
    Path target = directory.resolve("rows");
    AtomicLong seen = new AtomicLong();
    assertThrows(
        IllegalStateException.class,
        () ->
            Packer.pack(
                source,
                target,
                1,
                done -> {
                  if (seen.incrementAndGet() == 3) {
                    throw new IllegalStateException("stop");
                  }
                }));
    flip(source.weight().file(), 13);
    Files.setLastModifiedTime(
        source.weight().file(), java.nio.file.attribute.FileTime.fromMillis(12345));
    requireSame(source, Packer.pack(source, target, 2, done -> {}).table());
  }

  @Test
  void aSourceThatEndsTooEarlyIsNamed() throws IOException {
    TableFile source = source(directory, ROWS, 256);
    try (FileChannel channel = FileChannel.open(source.weight().file(), StandardOpenOption.WRITE)) {
      channel.truncate(1_000_000);
    }
    Path target = directory.resolve("rows");
    IOException e =
        assertThrows(IOException.class, () -> Packer.pack(source, target, 2, done -> {}));
    assertTrue(String.valueOf(e.getMessage()).contains("weight.bin"), e.toString());
    assertFalse(Files.exists(target));
  }
}
