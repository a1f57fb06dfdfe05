package io.engram4j.tck;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.EngramModel;
import io.engram4j.hf.EngramModels;
import io.engram4j.kernel.Backend;
import io.engram4j.kernel.java.JavaBackend;
import io.engram4j.model.Dtype;
import io.engram4j.model.LayerLayout;
import io.engram4j.table.Table;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Qwen's PLE: what is wrong with a directory, and what a mistake would look like. */
class PleDirectoryTest {
  private static final String ONE = "model-00001-of-00002.safetensors";
  private static final String TWO = "model-00002-of-00002.safetensors";
  private static final String INDEX = "model.safetensors.index.json";
  private static final int END = 983;

  @TempDir static Path golden;
  @TempDir Path directory;

  @BeforeAll
  static void extract() throws IOException {
    Golden.extract(golden);
  }

  @BeforeEach
  void copy() throws IOException {
    copy("mini-ple");
  }

  private void copy(String model) throws IOException {
    try (Stream<Path> files = Files.list(golden.resolve(model))) {
      for (Path file : files.toList()) {
        Files.copy(
            file, directory.resolve(file.getFileName()), StandardCopyOption.REPLACE_EXISTING);
      }
    }
  }

  /** Changes a directory. */
  private interface Change {
    void to(Path directory) throws IOException;
  }

  /** Replaces a text, in headers by one of the same length. */
  private static void edit(Path file, String from, String to) throws IOException {
    String text = Files.readString(file, StandardCharsets.ISO_8859_1);
    assertTrue(text.contains(from), from);
    Files.writeString(file, text.replace(from, to), StandardCharsets.ISO_8859_1);
  }

  private static Arguments change(String name, Change change, String... message) {
    return Arguments.of(name, change, List.of(message));
  }

  private static Change config(String from, String to) {
    return directory -> edit(directory.resolve("config.json"), from, to);
  }

  static Stream<Arguments> wrong() {
    return Stream.of(
        change(
            "another seed",
            config("\"hc_count\"", "\"seed\": 1235, \"hc_count\""),
            "layer 1 tensors: ple_embedding has layer 1: multipliers [",
            "but the configuration gives"),
        change(
            "another vocabulary",
            config("\"vocab_size\": 1000", "\"vocab_size\": 1001"),
            "but the configuration gives"),
        change(
            "a vocabulary beyond any",
            config("\"vocab_size\": 1000", "\"vocab_size\": 1000000000"),
            "a vocabulary of 1000000000 ids is not between 1 and 16777216"),
        change(
            "layers counted from 0",
            config("[\n   2\n  ]", "[0]"),
            "ple_layer_ids has 0, but layers are counted from 1 there"),
        change(
            "a width that does not divide",
            config("\"ple_embed_dim\": 160", "\"ple_embed_dim\": 161"),
            "ple_embed_dim 161 does not divide by 16 heads"),
        change(
            "a divisor of 0",
            config("divisible_by\": 24", "divisible_by\": 0"),
            "make_ngram_vocab_size_divisible_by is 0"),
        change(
            "no end of text",
            config("\"eos_token_id\": 983", "\"x\": 1"),
            "eos_token_id is missing"),
        change(
            "an end of text outside the vocabulary",
            config("\"eos_token_id\": 983", "\"eos_token_id\": 1000"),
            "1000 is outside the vocabulary of 1000 ids"),
        change(
            "more rows than the configuration gives",
            config("divisible_by\": 24", "divisible_by\": 128"),
            "shard_0 to 11 have 3960 rows, but the configuration gives 3968"),
        change(
            "a shard is missing",
            directory -> {
              edit(directory.resolve(TWO), "shard_5", "shard_x");
              edit(directory.resolve(INDEX), "shard_5", "shard_x");
            },
            "shard_5.weight is missing, though there is one of 11"),
        change(
            "a shard has another type",
            directory -> {
              Path file = directory.resolve(ONE);
              String header = Files.readString(file, StandardCharsets.ISO_8859_1);
              int at = header.indexOf("BF16", header.indexOf("shard_4.weight"));
              String changed = header.substring(0, at) + "F16 " + header.substring(at + 4);
              Files.writeString(
                  file, changed.replace("\"F16 \"", "\"F16\" "), StandardCharsets.ISO_8859_1);
            },
            "shard_4.weight has rows of F16, but",
            "has BF16"),
        change(
            "a map that has no use",
            directory -> Files.createFile(directory.resolve("given")),
            "Qwen PLE hashes raw ids"));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("wrong")
  void isRefused(String name, Change change, List<String> message) {
    IOException e =
        assertThrows(
            IOException.class,
            () -> {
              change.to(directory);
              Path map = directory.resolve("given");
              EngramModels.read(directory, Files.exists(map) ? map : null)
                  .open(new JavaBackend())
                  .close();
            },
            name);
    for (String part : message) {
      assertTrue(String.valueOf(e.getMessage()).contains(part), e.getMessage());
    }
  }

  @Test
  void aTextOnlyModelHasItsFieldsAtTheTop() throws IOException {
    Path config = directory.resolve("config.json");
    String text = Files.readString(config);
    int from = text.indexOf('{', text.indexOf("text_config"));
    Files.writeString(config, text.substring(from, text.lastIndexOf('}')));
    edit(config, "\"eos_token_id\": 983", "\"eos_token_id\": [983, 7]"); // the first is taken
    assertTrue(passes(new JavaBackend()));
  }

  private boolean passes(Backend backend) throws IOException {
    boolean passed = true;
    for (TruthFiles truth : TruthFiles.of(directory)) {
      try (EngramModel model = EngramModels.read(truth.model()).open(new JavaBackend());
          EngramModel view = model.withBackend(backend)) {
        for (Path file : truth.files()) {
          for (TensorResult result : Verifier.verify(view, file)) {
            passed &= result.passed();
          }
        }
      }
    }
    return passed;
  }

  /** By name shard_10 comes before shard_2. */
  @Test
  void swappedShardsAreSeen() throws IOException {
    assertTrue(passes(new JavaBackend()));
    for (Path file : List.of(directory.resolve(ONE), directory.resolve(INDEX))) {
      edit(file, "shard_2.", "shard_x.");
      edit(file, "shard_4.", "shard_2.");
      edit(file, "shard_x.", "shard_4.");
    }
    assertFalse(passes(new JavaBackend()));
  }

  /** A mistake that a backend may make. */
  private static Backend mistaken(boolean cutsItself, boolean rounds) {
    JavaBackend right = new JavaBackend();
    return new Backend() {
      @Override
      public String name() {
        return "mistaken";
      }

      @Override
      public String description() {
        return "mistaken";
      }

      @Override
      public Hash hash(LayerLayout layout, Arena arena) {
        Hash hash = right.hash(layout, arena);
        return (windows, tokens, rowIds) -> {
          MemorySegment own = MemorySegment.ofArray(new byte[(int) windows.byteSize()]);
          own.copyFrom(windows);
          for (long token = 0; cutsItself && token < tokens; token++) {
            long at = token * layout.maxNgram();
            if (own.getAtIndex(ValueLayout.JAVA_INT_UNALIGNED, at) == END) {
              for (int shift = 1; shift < layout.maxNgram(); shift++) {
                own.setAtIndex(ValueLayout.JAVA_INT_UNALIGNED, at + shift, END);
              }
            }
          }
          hash.run(own, tokens, rowIds);
        };
      }

      @Override
      public Gather gather(Table table, Arena arena) {
        Gather gather = right.gather(table, arena);
        return (rowIds, count, out, outType) -> {
          gather.run(rowIds, count, out, outType);
          for (long i = 0; rounds && outType == Dtype.F32 && i < count * table.headDim(); i++) {
            int bits = out.getAtIndex(ValueLayout.JAVA_INT_UNALIGNED, i);
            out.setAtIndex(ValueLayout.JAVA_INT_UNALIGNED, i, bits & 0xffff0000);
          }
        };
      }

      @Override
      public Project project(io.engram4j.weights.Projection projection, Arena arena) {
        return right.project(projection, arena);
      }

      @Override
      public Gate gate(io.engram4j.weights.GateWeights weights, Arena arena) {
        return right.gate(weights, arena);
      }

      @Override
      public Conv conv(io.engram4j.weights.ConvWeights weights, Arena arena) {
        return right.conv(weights, arena);
      }
    };
  }

  @Test
  void anEndThatCutsItselfIsSeen() throws IOException {
    assertTrue(passes(mistaken(false, false)));
    assertFalse(passes(mistaken(true, false)));
  }

  @Test
  void roundedRowsOfGgufAreSeen() throws IOException {
    for (String name : List.of("mini-ple-gguf/q8_0.gguf", "mini-v41-gguf/mixed.gguf")) {
      TruthFiles truth = TruthFiles.of(golden.resolve(name)).getFirst();
      boolean passed = true;
      try (EngramModel model = EngramModels.read(truth.model()).open(mistaken(false, true))) {
        for (TensorResult result : Verifier.verify(model, truth.files().getFirst())) {
          passed &= result.passed();
        }
      }
      assertFalse(passed, name);
    }
  }
}
