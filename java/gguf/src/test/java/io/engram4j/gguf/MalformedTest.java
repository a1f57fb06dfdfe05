package io.engram4j.gguf;

import static io.engram4j.gguf.GgufBytes.array;
import static io.engram4j.gguf.GgufBytes.concat;
import static io.engram4j.gguf.GgufBytes.text;
import static io.engram4j.gguf.GgufBytes.u32;
import static io.engram4j.gguf.GgufBytes.u64;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Every way in which a file can be broken is refused, quickly, by a message that says what. */
class MalformedTest {
  private static final int INPUTS = Integer.getInteger("engram.fuzz.inputs", 100_000) / 5;

  @TempDir Path directory;

  private static GgufBytes bytes() {
    return new GgufBytes();
  }

  private static Arguments bad(String name, GgufBytes bytes, String message) {
    return Arguments.of(name, bytes.build(), message);
  }

  private static byte[] largeText() {
    return concat(u64(1L << 62), "x".getBytes(java.nio.charset.StandardCharsets.UTF_8));
  }

  static Stream<Arguments> files() {
    return Stream.of(
        Arguments.of("empty", new byte[0], "is no GGUF file"),
        Arguments.of("magic alone", u32(0x46554747), "the version takes 4 bytes"),
        Arguments.of(
            "a pointer",
            "version https://git-lfs.github.com/spec/v1\n"
                .getBytes(java.nio.charset.StandardCharsets.UTF_8),
            "is a Git LFS pointer"),
        bad("another magic", bytes().magic(0x46554748), "is no GGUF file"),
        bad("version 1", bytes().version(1), "version 1, not 2 or 3"),
        bad("version 4", bytes().version(4), "version 4, not 2 or 3"),
        bad("version 0", bytes().version(0), "version 0, not 2 or 3"),
        bad("big-endian", bytes().version(3 << 24), "big-endian"),
        bad("2^60 keys", bytes().counts(0, 1L << 60), "1152921504606846976 keys"),
        bad("2^64 - 1 keys", bytes().counts(0, -1), "18446744073709551615 keys"),
        bad("2^60 tensors", bytes().counts(1L << 60, 0), "1152921504606846976 tensors"),
        bad("one key too many", bytes().counts(0, 1), "says that it has 1 keys"),
        bad("an empty key", bytes().value("", 0, new byte[1]), "a key is called ''"),
        bad("a key with a blank", bytes().value("a b", 0, new byte[1]), "called 'a\\u0020b'"),
        bad("a key with an escape", bytes().value("\u001b[31m", 0, new byte[1]), "\\u001b[31m"),
        bad("a key that is too long", bytes().value("k".repeat(65_536), 0, new byte[1]), "65536"),
        bad(
            "a key without end",
            bytes().rawKey(u64(1L << 40), 0, new byte[9]),
            "a key takes 1099511627776 bytes"),
        bad("a double key", twice(), "key a is there twice"),
        bad("a value of type 13", bytes().value("a", 13, new byte[8]), "type 13, which is none"),
        bad("a value of type 2^31", bytes().value("a", 1 << 31, new byte[8]), "type 2147483648"),
        bad("a bool of 2", bytes().value("a", 7, new byte[] {2}), "has a bool of 2"),
        bad(
            "a bool in an array",
            bytes().value("a", 9, array(7, 2, new byte[] {1, 9})),
            "has a bool of 9"),
        bad("a text without end", bytes().value("a", 8, largeText()), "4611686018427387904 bytes"),
        bad(
            "a text of 2^64 - 1",
            bytes().value("a", 8, concat(u64(-1), new byte[9])),
            "18446744073709551615"),
        bad("an array of arrays", bytes().value("a", 9, array(9, 1, array(0, 0))), "of arrays"),
        bad("an array of type 99", bytes().value("a", 9, array(99, 1, new byte[9])), "type 99"),
        bad(
            "an array whose bytes wrap",
            bytes().value("a", 9, array(10, 1L << 61, new byte[64])),
            "2305843009213693952 elements in a"),
        bad(
            "an array that is too long",
            bytes().value("a", 9, array(4, 40, new byte[64])),
            "40 elements in a"),
        bad(
            "texts without end",
            bytes().value("a", 9, array(8, 3, text("x"), u64(1L << 50), new byte[16])),
            "a text of a takes 1125899906842624"),
        bad("alignment 0", bytes().alignment(0), "general.alignment is 0"),
        bad("alignment 3", bytes().alignment(3), "general.alignment is 3"),
        bad("alignment 4", bytes().alignment(4), "general.alignment is 4"),
        bad(
            "alignment 2^31",
            bytes().value("general.alignment", 4, u32(1L << 31)),
            "general.alignment is 2147483648"),
        bad(
            "alignment of another type",
            bytes().value("general.alignment", 10, u64(32)),
            "general.alignment is u64, not u32"),
        bad(
            "alignment in an array",
            bytes().value("general.alignment", 9, array(4, 1, u32(32))),
            "general.alignment is u32[1], not u32"),
        bad("an empty name", bytes().tensor("", 0, 0, 1).data(4), "a tensor is called ''"),
        bad("a long name", bytes().tensor("t".repeat(64), 0, 0, 1).data(4), "64 bytes, at most 63"),
        bad("two of a name", bytes().tensor("t", 0, 0, 1).tensor("t", 0, 32, 1).data(36), "twice"),
        bad("no dimension", bytes().rawTensor(text("t"), 0, 0, 0).data(9), "has 0 dimensions"),
        bad("five dimensions", bytes().tensor("t", 0, 0, 1, 1, 1, 1, 1).data(4), "5 dimensions"),
        bad(
            "2^32 - 1 dimensions",
            bytes().rawTensor(text("t"), -1, 0, 0, 1).data(4),
            "4294967295 dimensions"),
        bad("a dimension of 0", bytes().tensor("t", 0, 0, 4, 0).data(4), "a dimension of 0"),
        bad(
            "a dimension of 2^63",
            bytes().tensor("t", 0, 0, Long.MIN_VALUE).data(4),
            "a dimension of 9223372036854775808"),
        bad(
            "elements that wrap",
            bytes().tensor("t", 0, 0, 1L << 32, 1L << 32).data(4),
            "larger than 2^63 bytes"),
        bad(
            "bytes that wrap",
            bytes().tensor("t", 0, 0, 1L << 31, 1L << 31).data(4),
            "larger than 2^63 bytes"),
        bad(
            "blocks that wrap",
            bytes().tensor("t", 13, 0, 256, 1L << 56).data(4),
            "larger than 2^63 bytes"),
        bad(
            "a broken block",
            bytes().tensor("t", 8, 0, 33, 2).data(99),
            "33 elements, no multiple"),
        bad("type 4", bytes().tensor("t", 4, 0, 32).data(99), "type 4, which ggml has removed"),
        bad("type 40 000", bytes().tensor("t", 40_000, 0, 256).data(99), "has type 40000"),
        bad("type 97", bytes().tensor("t", 97, 0, 256).data(99), "ik_llama.cpp's own"),
        bad("type 2^31", bytes().tensor("t", 1 << 31, 0, 256).data(99), "has type -2147483648"),
        bad("an offset of 1", bytes().tensor("t", 0, 1, 1).data(64), "begins at 1, no multiple"),
        bad(
            "an offset of 2^64 - 32",
            bytes().tensor("t", 0, -32, 1).data(64),
            "begins at 18446744073709551584"),
        bad(
            "an offset that wraps with the data",
            bytes().tensor("t", 0, Long.MAX_VALUE - 31, 1).data(64),
            "does not lie in the file"),
        bad("behind the end", bytes().tensor("t", 0, 64, 1).data(64), "does not lie in the file"),
        bad("over the end", bytes().tensor("t", 0, 0, 17).data(64), "68 bytes at 0"),
        bad("data that is missing", bytes().tensor("t", 0, 0, 1), "does not lie in the file"),
        bad(
            "tensors over each other",
            bytes().tensor("a", 0, 0, 9).tensor("b", 0, 32, 1).data(64),
            "tensor a ends at "),
        bad(
            "one within another",
            bytes().tensor("a", 0, 0, 32).tensor("b", 0, 64, 1).data(128),
            "but tensor b begins at "));
  }

  private static GgufBytes twice() {
    return bytes().value("a", 0, new byte[1]).value("a", 0, new byte[1]);
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("files")
  void isRefused(String name, byte[] bytes, String message) throws IOException {
    Path file = Files.write(directory.resolve("bad.gguf"), bytes);
    IOException e =
        assertTimeoutPreemptively(
            Duration.ofSeconds(5),
            () -> assertThrows(IOException.class, () -> GgufFile.open(file)));
    String told = String.valueOf(e.getMessage());
    assertTrue(told.contains(message), told);
    assertTrue(told.contains("bad.gguf") && told.lines().count() == 1, told);
  }

  @Test
  void otherThingsAreNoFiles() throws Exception {
    assertThrows(IOException.class, () -> GgufFile.open(directory));
    assertThrows(IOException.class, () -> GgufFile.open(directory.resolve("none.gguf")));
    Path pipe = directory.resolve("pipe.gguf");
    if (new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor() == 0) {
      assertTimeoutPreemptively(
          Duration.ofSeconds(5), () -> assertThrows(IOException.class, () -> GgufFile.open(pipe)));
    }
  }

  /** Each cut of a good file is refused, whatever it goes through. */
  @Test
  void everyCutIsRefused() throws IOException {
    byte[] whole = good();
    for (int length = 0; length < whole.length; length++) {
      Path file = Files.write(directory.resolve("cut.gguf"), Arrays.copyOf(whole, length));
      assertThrows(IOException.class, () -> GgufFile.open(file), "cut to " + length);
    }
  }

  private static byte[] good() {
    return bytes()
        .alignment(64)
        .value("general.architecture", 8, text("deepseek41"))
        .value("a.primes", 9, array(10, 4, u64(17), u64(19), u64(23), u64(29)))
        .value("a.map", 9, array(5, 3, u32(0), u32(1), u32(0)))
        .value("a.words", 9, array(8, 2, text("the"), text("end")))
        .tensor("blk.1.engram_embd.weight", 8, 0, 32, 7)
        .tensor("blk.1.engram_q.weight", 30, 256, 8, 4)
        .data(256 + 64)
        .build();
  }

  /** Damaged files are read or refused with an IOException, and nothing else happens. */
  @Test
  void fuzz() throws IOException {
    long seed = Long.getLong("engram.fuzz.seed", System.nanoTime());
    byte[] base = good();
    Path file = directory.resolve("fuzz.gguf");
    int refused = 0;
    for (int i = 0; i < INPUTS; i++) {
      byte[] input = damaged(base, new SplittableRandom(seed + i));
      Files.write(file, input);
      try {
        GgufFile opened = GgufFile.open(file);
        for (String key : opened.keys()) {
          readAll(opened, key);
        }
      } catch (IOException e) {
        refused++;
      } catch (RuntimeException | Error e) {
        throw new AssertionError("repeat with -Dengram.fuzz.seed=" + (seed + i), e);
      }
    }
    String line = "fuzzed gguf (seed " + seed + ", " + refused + " refused), inputs: " + INPUTS;
    System.out.println(line);
    Path counts = Files.createDirectories(Path.of("target", "case-counts"));
    Files.writeString(counts.resolve("fuzz-gguf.txt"), line + "\n");
    assertTrue(refused > INPUTS / 4 && refused < INPUTS, line);
  }

  private static void readAll(GgufFile opened, String key) throws IOException {
    for (Reader reader :
        new Reader[] {opened::text, opened::integer, opened::number, opened::smallIntegers}) {
      try {
        reader.read(key);
      } catch (IOException e) {
        // of another type
      }
    }
  }

  /** Reads a value. */
  private interface Reader {
    Object read(String key) throws IOException;
  }

  private static byte[] damaged(byte[] base, SplittableRandom random) {
    byte[] bytes = base.clone();
    for (int change = random.nextInt(4); change >= 0; change--) {
      int at = random.nextInt(bytes.length - 8);
      switch (random.nextInt(5)) {
        case 0 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
        case 1 -> bytes[at] = (byte) random.nextInt();
        case 2 -> System.arraycopy(u64(1L << random.nextInt(64)), 0, bytes, at, 8);
        case 3 -> System.arraycopy(u64(random.nextInt(-3, 300)), 0, bytes, at, 8);
        default -> {
          return Arrays.copyOf(bytes, random.nextInt(bytes.length));
        }
      }
    }
    return bytes;
  }
}
