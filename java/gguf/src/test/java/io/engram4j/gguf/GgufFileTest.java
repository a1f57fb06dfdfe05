package io.engram4j.gguf;

import static io.engram4j.gguf.GgufBytes.array;
import static io.engram4j.gguf.GgufBytes.concat;
import static io.engram4j.gguf.GgufBytes.text;
import static io.engram4j.gguf.GgufBytes.u32;
import static io.engram4j.gguf.GgufBytes.u64;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is in a good file, of one part and of several. */
class GgufFileTest {
  private static final Path GOLDEN =
      Path.of("../tck/src/main/resources/io/engram4j/tck/golden").toAbsolutePath().normalize();

  @TempDir Path directory;

  private Path write(String name, byte[] bytes) throws IOException {
    return Files.write(directory.resolve(name), bytes);
  }

  private static byte[] part(int number, int count, int tensors, String tensor) {
    GgufBytes bytes =
        new GgufBytes()
            .value("split.no", GgufBytes.U16, new byte[] {(byte) number, 0})
            .value("split.count", GgufBytes.U16, new byte[] {(byte) count, 0})
            .value("split.tensors.count", GgufBytes.I32, u32(tensors));
    return tensor.isEmpty() ? bytes.build() : bytes.tensor(tensor, 0, 0, 4).data(16).build();
  }

  @Test
  void valuesOfEveryType() throws IOException {
    byte[] bytes =
        new GgufBytes()
            .version(2)
            .value("a.text", GgufBytes.STRING, text("eine Größe"))
            .value("a.u8", GgufBytes.U8, new byte[] {(byte) 200})
            .value("a.i8", 1, new byte[] {(byte) 200})
            .value("a.u32", GgufBytes.U32, u32(0xffffffffL))
            .value("a.i32", GgufBytes.I32, u32(-5))
            .value("a.float", GgufBytes.F32, u32(Float.floatToRawIntBits(1e-20f)))
            .value("a.double", 12, u64(Double.doubleToRawLongBits(0.1)))
            .value("a.bool", GgufBytes.BOOL, new byte[] {1})
            .value("a.texts", GgufBytes.ARRAY, array(8, 2, text("x"), text("")))
            .value("a.u64s", GgufBytes.ARRAY, array(10, 2, u64(-1), u64(3)))
            .value("a.i32s", GgufBytes.ARRAY, array(5, 3, u32(-1), u32(0), u32(1 << 20)))
            .build();
    GgufFile file = GgufFile.open(write("a.gguf", bytes));
    assertEquals(11, file.keys().size());
    assertEquals(Optional.of("eine Größe"), file.text("a.text"));
    assertEquals(OptionalLong.of(200), file.integer("a.u8"));
    assertEquals(OptionalLong.of(-56), file.integer("a.i8"));
    assertEquals(OptionalLong.of(0xffffffffL), file.integer("a.u32"));
    assertEquals(-5, file.smallInteger("a.i32").orElseThrow());
    assertEquals((double) 1e-20f, file.number("a.float").orElseThrow());
    assertEquals(0.1, file.number("a.double").orElseThrow());
    assertEquals(200, file.number("a.u8").orElseThrow());
    assertArrayEquals(new long[] {-1, 3}, file.integers("a.u64s").orElseThrow());
    assertArrayEquals(new int[] {-1, 0, 1 << 20}, file.smallIntegers("a.i32s").orElseThrow());
    assertTrue(file.text("a").isEmpty() && file.integer("a").isEmpty());
    assertTrue(file.integers("a").isEmpty() && file.number("a").isEmpty());
    for (String key : List.of("a.text", "a.float", "a.bool", "a.i32s")) {
      IOException e = assertThrows(IOException.class, () -> file.integer(key));
      assertTrue(String.valueOf(e.getMessage()).contains(", not a whole number"), e.toString());
    }
    assertThrows(IOException.class, () -> file.smallInteger("a.u32"));
    assertThrows(IOException.class, () -> file.smallIntegers("a.u64s"));
    assertThrows(IOException.class, () -> file.integers("a.texts"));
    assertThrows(IOException.class, () -> file.text("a.texts"));
  }

  @Test
  void tensorsLieWhereTheirOffsetsSay() throws IOException {
    byte[] bytes =
        new GgufBytes()
            .alignment(64)
            .tensor("second", 8, 64, 32, 3) // Q8_0
            .tensor("first", 30, 0, 5, 3) // BF16, with a gap behind it
            .data(64 + 102)
            .build();
    GgufFile file = GgufFile.open(write("a.gguf", bytes));
    GgufTensor second = file.tensor("second");
    assertEquals(GgmlType.Q8_0, second.type());
    assertEquals(32, second.width());
    assertEquals(3, second.rows());
    assertEquals(34, second.rowBytes());
    assertEquals(102, second.bytes());
    assertEquals(64, bytes[(int) second.offset()]); // the data counts from 0
    assertEquals(0, bytes[(int) file.tensor("first").offset()]);
    assertEquals(List.of("second", "first"), List.copyOf(file.tensors().keySet()));
  }

  @Test
  void partsAreOneModelFromWhereverTheyAreOpened() throws IOException {
    write("m-00001-of-00003.gguf", part(0, 3, 2, ""));
    write("m-00002-of-00003.gguf", part(1, 3, 2, "a"));
    write("m-00003-of-00003.gguf", part(2, 3, 2, "b"));
    for (String name :
        List.of("m", "m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf")) {
      GgufFile file = GgufFile.open(directory.resolve(name));
      assertEquals(3, file.parts());
      assertEquals(List.of("a", "b"), List.copyOf(file.tensors().keySet()));
      assertEquals(directory.resolve("m-00001-of-00003.gguf"), file.file());
      assertEquals("m-00003-of-00003.gguf", "" + file.tensor("b").file().getFileName());
    }
  }

  @Test
  void partsThatDoNotBelongTogetherAreRefused() throws IOException {
    write("m-00001-of-00002.gguf", part(0, 2, 2, "a"));
    refused("m", "m-00002-of-00002.gguf, part 2 of 2, does not exist");
    write("m-00002-of-00002.gguf", part(1, 3, 2, "b"));
    refused("m", "split.count is 3, not 2");
    write("m-00002-of-00002.gguf", part(0, 2, 2, "b"));
    refused("m", "split.no is 0, not 1");
    write("m-00002-of-00002.gguf", part(1, 2, 3, "b"));
    refused("m", "split.tensors.count is 3, not 2");
    write("m-00002-of-00002.gguf", part(1, 2, 2, "a"));
    refused("m", "tensor a is in ");
    write("m-00002-of-00002.gguf", part(1, 2, 2, ""));
    refused("m", "the parts have 1 tensors, not 2");
    write("m-00002-of-00002.gguf", new GgufBytes().build());
    refused("m", "m-00002-of-00002.gguf is named as a part, but has no split.no");
    write("m-00001-of-00003.gguf", part(0, 3, 1, ""));
    refused("m", "could be any of");
    refused("m-00005-of-00003.gguf", "is called part 5 of 3");
    write("other.gguf", part(1, 2, 2, "b"));
    refused("other.gguf", "is a part of 2, but its name does not end as a part's");
  }

  private void refused(String name, String message) {
    IOException e = assertThrows(IOException.class, () -> GgufFile.open(directory.resolve(name)));
    assertTrue(String.valueOf(e.getMessage()).contains(message), e.toString());
  }

  @Test
  void goldenFiles() throws IOException {
    GgufFile mixed = GgufFile.open(GOLDEN.resolve("mini-v41-gguf/mixed.gguf"));
    assertEquals(Optional.of("deepseek41"), mixed.text("general.architecture"));
    assertEquals(12, mixed.smallIntegers("deepseek41.engram.layer_ids").orElseThrow().length);
    long tables =
        mixed.tensors().keySet().stream().filter(name -> name.contains("engram_embd")).count();
    assertEquals(12, tables);
    GgufFile split = GgufFile.open(GOLDEN.resolve("mini-v41-gguf-split/mini"));
    assertEquals(4, split.parts());
    assertTrue(split.tensors().values().stream().anyMatch(t -> t.type() == GgmlType.Q3_K));
    GgufFile ds4 = GgufFile.open(GOLDEN.resolve("mini-v41-gguf-ds4/mini.gguf"));
    assertEquals(Optional.of("e4m3_e8m0_32_row264"), ds4.text("deepseek41.engram.encoding"));
    assertEquals(OptionalLong.of(16384), ds4.integer("general.alignment"));
    assertTrue(ds4.tensors().values().stream().anyMatch(t -> t.rowBytes() == 264));
    GgufFile ple = GgufFile.open(GOLDEN.resolve("mini-ple-gguf/iq4_nl"));
    assertEquals(3, ple.parts());
    assertEquals(GgmlType.IQ4_NL, ple.tensor("per_layer_token_embd.weight").type());
  }

  /** Tables of a released model: a sparse file of 110 GB is opened at once. */
  @Test
  void realSizes() throws IOException {
    long rows = 384_006_168L;
    long table = rows * 144;
    GgufBytes bytes = new GgufBytes();
    byte[][] words = new byte[129_280][];
    java.util.Arrays.fill(words, text("a word"));
    bytes.value("tokenizer.ggml.tokens", GgufBytes.ARRAY, array(8, words.length, concat(words)));
    bytes.tensor("blk.1.engram_embd.weight", 12, 0, 256, rows);
    bytes.tensor("blk.14.engram_embd.weight", 12, table, 256, rows);
    Path file = write("large.gguf", bytes.build());
    long data = Files.size(file);
    try (RandomAccessFile sparse = new RandomAccessFile(file.toFile(), "rw")) {
      sparse.setLength(data + 2 * table);
    }
    long start = System.nanoTime();
    GgufFile large = GgufFile.open(file);
    assertTrue(System.nanoTime() - start < 2_000_000_000L, "it takes too long");
    GgufTensor last = large.tensor("blk.14.engram_embd.weight");
    assertEquals(rows, last.rows());
    assertEquals(data + table, last.offset());
    assertEquals(144, last.rowBytes());
  }
}
