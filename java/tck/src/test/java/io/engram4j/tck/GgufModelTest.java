package io.engram4j.tck;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.EngramModel;
import io.engram4j.hf.EngramModels;
import io.engram4j.hf.GgufModel;
import io.engram4j.kernel.java.JavaBackend;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** GGUF models under other spellings, and in every way that their metadata can be wrong. */
class GgufModelTest {
  private static final String MIXED = "mini-v41-gguf/mixed.gguf";
  private static final String DS4 = "mini-v41-gguf-ds4/mini.gguf";
  private static final String PLE = "mini-ple-gguf/q8_0.gguf";
  private static final String E = "deepseek41.engram.";
  private static final String P = "qwen4exp.ple.";
  private static final int INPUTS = Integer.getInteger("engram.fuzz.inputs", 100_000) / 20;

  @TempDir static Path golden;
  @TempDir Path directory;

  @BeforeAll
  static void extract() throws IOException {
    Golden.extract(golden);
  }

  /** Changes a file. */
  private interface Change {
    void to(GgufEdit file);
  }

  private static Arguments change(String name, String file, Change change, String... message) {
    return Arguments.of(name, file, change, List.of(message));
  }

  static Stream<Arguments> wrong() {
    return Stream.of(
        change(
            "another architecture",
            MIXED,
            f -> f.text("general.architecture", "llama"),
            "the architecture llama has no Engram layers that are known",
            "[deepseek41, deepseek4, qwen4exp]"),
        change(
            "no architecture",
            MIXED,
            f -> f.remove("general.architecture"),
            "no key general.architecture"),
        change(
            "no layers",
            MIXED,
            f -> f.remove(E + "layer_ids"),
            "no key deepseek4.engram.layer_ids nor deepseek4.engram.layers"),
        change("a layer twice", MIXED, f -> f.element(E + "layer_ids", 1, 1), "has layer 1 twice"),
        change(
            "a layer beyond",
            MIXED,
            f -> f.element(E + "layer_ids", 1, 40),
            "has layer 40, but the model has 40"),
        change("no heads", MIXED, f -> f.number(E + "head_count", 0), "with 0 heads of 256"),
        change(
            "another width", MIXED, f -> f.number(E + "key_length", 512), "but the metadata gives"),
        change(
            "too few primes",
            MIXED,
            f -> f.numbers(E + "primes", 29, 31),
            "primes has 2 numbers, but there must be 24"),
        change(
            "too few multipliers",
            MIXED,
            f -> f.numbers(E + "multipliers", 1),
            "multipliers has 1 numbers, but there must be 36"),
        change(
            "too few offsets",
            MIXED,
            f -> f.numbers(E + "offsets", 1),
            "offsets has 1 numbers, but there must be 24"),
        change("a head of no rows", MIXED, f -> f.element(E + "primes", 0, 0), "a head of 0 rows"),
        change(
            "a head of 2^63 rows", MIXED, f -> f.element(E + "primes", 0, -1), "a head of -1 rows"),
        change(
            "heads beyond the table",
            MIXED,
            f -> f.element(E + "offsets", 1, 30),
            "blk.1.engram_embd.weight has 60 rows of 256 F16",
            "gives 61 of 256"),
        change(
            "a map with a gap",
            MIXED,
            f -> f.element(E + "token_map", 3, 700),
            "token 3 maps to 700"),
        change(
            "a pad id that is none",
            MIXED,
            f -> f.number(E + "pad_id", 688),
            "the pad id is 688, which no token has among 688"),
        change(
            "another compressed size",
            DS4,
            f -> f.number(E + "compressed_vocab_size", 687),
            "compressed_vocab_size is 687, but token_map has 688"),
        change(
            "two spellings that disagree",
            MIXED,
            f -> f.number(E + "n_heads", 2),
            "engram.head_count and deepseek41.engram.n_heads disagree"),
        change(
            "other rows",
            DS4,
            f -> f.numbers(E + "rows", 78, 91),
            "[78, 91]",
            "blk.4.engram_embd.weight has 90"),
        change(
            "an encoding of one fork",
            DS4,
            f -> f.text(E + "encoding", "lloyd4_e5m3_32_r136"),
            "the encoding lloyd4_e5m3_32_r136 of rows is not supported",
            "e4m3_e8m0_32_row264"),
        change(
            "rows of 264 that are none",
            DS4,
            f -> f.typeOf("blk.1.engram_embd.weight", 24, 132, 156),
            "156 rows of 132 I8"),
        change(
            "a type of rows that is not supported",
            MIXED,
            f -> f.typeOf("blk.1.engram_embd.weight", 16, 256, 60),
            "blk.1.engram_embd.weight has type IQ2_XXS, which is not supported",
            "Q4_K"),
        change(
            "a type of weights that is not supported",
            MIXED,
            f -> f.typeOf("blk.1.engram_wkv.weight", 16, 512, 72),
            "blk.1.engram_wkv.weight has type IQ2_XXS, which is not supported"),
        change(
            "no projection",
            MIXED,
            f -> f.renameTensor("blk.1.engram_wkv.weight", "blk.1.other.weight"),
            "no tensor blk.1.engram_wkv.weight nor blk.1.engram_kv.weight"),
        change(
            "a projection of another width",
            MIXED,
            f -> f.typeOf("blk.1.engram_wkv.weight", 8, 256, 144),
            "blk.1.engram_wkv.weight has dimensions [256, 144]",
            "[512, 144]"),
        change(
            "a gate of another width",
            MIXED,
            f -> f.typeOf("blk.1.engram_q.weight", 0, 24, 1),
            "blk.1.engram_q.weight has dimensions [24, 1]",
            "48 numbers"),
        change(
            "no numbers and no map",
            MIXED,
            f -> f.remove(E + "token_map"),
            "no token map in the file; give a tokenizer.json or a map file"),
        change("two layers", PLE, f -> f.numbers(P + "layers", 1, 2), "for the 2 layers [1, 2]"),
        change(
            "an n-gram of 1",
            PLE,
            f -> f.number(P + "ngram_size", 1),
            "n-grams up to 1 with 2 heads are impossible"),
        change(
            "too few heads",
            PLE,
            f -> f.numbers(P + "head_vocab_sizes", 101),
            "head_vocab_sizes has 1 numbers, but there must be 4"),
        change(
            "a row of another width",
            PLE,
            f -> f.number("qwen4exp.embedding_length_per_layer_input", 64),
            "per_layer_token_embd.weight has 512 rows of 32 Q8_0",
            "420 of 64"),
        change(
            "an end of text beyond any",
            PLE,
            f -> f.number(P + "eos_token_id", 0x7fffffff),
            "eos_token_id is 2147483647, outside of any vocabulary"),
        change(
            "no end of text",
            PLE,
            f -> f.remove(P + "eos_token_id"),
            "no key qwen4exp.ple.eos_token_id"));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("wrong")
  void isRefused(String name, String file, Change change, List<String> message) throws IOException {
    GgufEdit edit = GgufEdit.of(golden.resolve(file));
    change.to(edit);
    Path written = directory.resolve("x.gguf");
    edit.write(written);
    IOException e = assertThrows(IOException.class, () -> open(written), name);
    String told = String.valueOf(e.getMessage());
    assertTrue(told.contains("x.gguf"), told);
    assertFalse(told.contains("\n"), told);
    for (String part : message) {
      assertTrue(told.contains(part), told);
    }
  }

  private static void open(Path file) throws IOException {
    GgufModel.read(file, null).open(new JavaBackend()).close();
  }

  static Stream<Arguments> spellings() {
    return Stream.of(
        change("layers", MIXED, f -> f.rename(E + "layer_ids", E + "layers")),
        change(
            "heads, widths and n-grams",
            MIXED,
            f ->
                f.rename(E + "head_count", E + "n_heads")
                    .rename(E + "key_length", E + "head_dim")
                    .rename(E + "max_ngram_size", E + "ngram_size")),
        change(
            "numbers of the hash",
            MIXED,
            f ->
                f.rename(E + "primes", E + "head_bucket_sizes")
                    .rename(E + "multipliers", E + "hash_multipliers")
                    .rename(E + "offsets", E + "head_offsets")
                    .rename(E + "pad_id", E + "pad_id_compressed")),
        change("no offsets", MIXED, f -> f.remove(E + "offsets")),
        change("both spellings", MIXED, f -> f.number(E + "n_heads", 1)),
        change(
            "tensors of others",
            MIXED,
            f ->
                f.renameTensor("blk.1.engram_embd.weight", "blk.1.engram_embed.weight")
                    .renameTensor("blk.2.engram_wkv.weight", "blk.2.engram_kv.weight")
                    .renameTensor("blk.3.engram_q.weight", "blk.3.engram_q_norm.weight")));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("spellings")
  void isTheSameModel(String name, String file, Change change, List<String> unused)
      throws IOException {
    Path written = directory.resolve("mixed.gguf");
    GgufEdit edit = GgufEdit.of(golden.resolve(file));
    change.to(edit);
    edit.write(written);
    assertEquals(122, verified(written, true), name);
  }

  /** Returns how many tensors were compared. */
  private int verified(Path model, boolean right) throws IOException {
    int compared = 0;
    boolean passed = true;
    Path beside = golden.resolve(MIXED).resolveSibling("");
    try (Stream<Path> files = Files.list(beside)) {
      for (Path file : files.filter(f -> f.toString().endsWith(".safetensors")).toList()) {
        Files.copy(
            file, directory.resolve(file.getFileName()), StandardCopyOption.REPLACE_EXISTING);
      }
    }
    for (TruthFiles truth : TruthFiles.of(model)) {
      try (EngramModel opened = EngramModels.open(truth.model())) {
        for (Path file : truth.files()) {
          for (TensorResult result : Verifier.verify(opened, file)) {
            compared += result.measure().equals("ignored") ? 0 : 1;
            passed &= result.passed();
          }
        }
      }
    }
    assertEquals(right, passed);
    return compared;
  }

  /** Files from before the numbers were written: the family's own, of the tokenizer's map. */
  @Test
  void withoutNumbersTheyAreComputed() throws IOException {
    Path written = directory.resolve("old.gguf");
    GgufEdit.of(golden.resolve(MIXED))
        .remove(E + "primes")
        .remove(E + "multipliers")
        .remove(E + "offsets")
        .remove(E + "token_map")
        .remove(E + "pad_id")
        .write(written);
    Path map = golden.resolve("mini-v41/tokenizer.json");
    IOException e = assertThrows(IOException.class, () -> GgufModel.read(written, map));
    // V4.1's primes begin at 16,000,000, and this table has 60 rows
    assertTrue(String.valueOf(e.getMessage()).contains("gives 32000136 of 256"), e.getMessage());
  }

  /** Damaged files are read or refused, and nothing else happens. */
  @Test
  void damagedFiles() throws IOException {
    long seed = Long.getLong("engram.fuzz.seed", System.nanoTime());
    int refused = 0;
    for (String name : List.of(MIXED, DS4, PLE)) {
      byte[] base = Files.readAllBytes(golden.resolve(name));
      int header = Math.min(base.length, 16_384);
      for (int i = 0; i < INPUTS; i++) {
        SplittableRandom random = new SplittableRandom(seed + i);
        byte[] input = base.clone();
        for (int k = random.nextInt(1, 4); k > 0; k--) {
          input[random.nextInt(24, header)] = (byte) random.nextInt();
        }
        Path file = directory.resolve("x.gguf");
        Files.write(file, input);
        try {
          GgufModel.read(file, null);
        } catch (IOException e) {
          refused++;
        } catch (RuntimeException | Error e) {
          throw new AssertionError(name + ", -Dengram.fuzz.seed=" + (seed + i), e);
        }
      }
    }
    System.out.println(
        "fuzzed GGUF models (seed " + seed + ", " + refused + " refused), inputs: " + 3 * INPUTS);
    assertTrue(refused > 0);
  }

  @Test
  void aDirectoryWithOneModelIsThatModel() throws IOException {
    Path split = golden.resolve("mini-v41-gguf-split");
    assertTrue(EngramModels.read(split).form().contains("in 4 parts"));
    IOException e =
        assertThrows(IOException.class, () -> EngramModels.read(golden.resolve("mini-ple-gguf")));
    assertTrue(
        String.valueOf(e.getMessage())
            .contains("has several GGUF models, name one: f16.gguf, iq4_nl-00001-of-00003.gguf"),
        e.getMessage());
    assertDoesNotThrow(() -> EngramModels.read(golden.resolve("mini-v41/config.json")));
    assertDoesNotThrow(() -> EngramModels.read(golden.resolve("mini-paper/model.safetensors")));
  }

  /** What a newcomer does wrong first: the norms of this format have the 1 already. */
  @Test
  void aOneAddedTwiceIsSeen() throws IOException {
    for (String norm : List.of("query", "key", "conv")) {
      Path written = directory.resolve("q8_0.gguf");
      GgufEdit.of(golden.resolve(PLE)).add("blk.1.ple_norm_" + norm + ".weight", 1).write(written);
      Files.copy(
          golden.resolve("mini-ple-gguf/expected-q8_0-rest.safetensors"),
          directory.resolve("expected-q8_0-rest.safetensors"),
          StandardCopyOption.REPLACE_EXISTING);
      boolean passed = true;
      try (EngramModel model = EngramModels.open(written)) {
        for (TensorResult result :
            Verifier.verify(model, directory.resolve("expected-q8_0-rest.safetensors"))) {
          passed &= result.passed();
        }
      }
      assertFalse(passed, norm);
    }
  }
}
