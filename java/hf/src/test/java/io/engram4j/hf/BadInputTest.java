package io.engram4j.hf;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.EngramModel;
import io.engram4j.hf.SafetensorsWriter.Declaration;
import io.engram4j.kernel.java.JavaBackend;
import io.engram4j.model.Dtype;
import io.engram4j.model.TokenMapFile;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Every way in which a model directory can be broken gives an error that says what and where. */
class BadInputTest {
  @TempDir Path directory;

  /** Damages a model directory. */
  private interface Damage {
    void to(Path directory) throws IOException;
  }

  @BeforeEach
  void write() throws IOException {
    SmallModel.write(directory);
  }

  private static EngramModel open(Path directory) throws IOException {
    return EngramDirectory.read(directory).open(new JavaBackend());
  }

  @Test
  void theWholeModelOpens() throws IOException {
    try (EngramModel model = open(directory)) {
      assertEquals(List.of(1, 3), model.config().layerIds());
      assertEquals(60, model.layers().getFirst().layout().rows());
      var sequence = model.newSequence();
      sequence.append(new int[] {0, 1, 2, 3, 4});
      model.layers().getFirst().apply(sequence, 5, new float[5 * 16]);
    }
  }

  private static Arguments damage(String name, Damage damage, String... message) {
    return Arguments.of(name, damage, List.of(message));
  }

  private static Damage config(String from, String to) {
    return dir -> SmallModel.edit(dir.resolve("config.json"), from, to);
  }

  private static Damage header(String from, String to) {
    return dir -> SmallModel.edit(dir.resolve("a.safetensors"), from, to);
  }

  private static Damage tokenizer(String from, String to) {
    return dir -> SmallModel.edit(dir.resolve("tokenizer.json"), from, to);
  }

  private static Damage headerLength(long length) {
    return dir -> {
      try (RandomAccessFile file =
          new RandomAccessFile(dir.resolve("a.safetensors").toFile(), "rw")) {
        file.writeLong(Long.reverseBytes(length));
      }
    };
  }

  static Stream<Arguments> damages() {
    List<Arguments> all = new ArrayList<>();
    all.add(damage("no directory", dir -> delete(dir), "is not a model directory"));
    all.add(
        damage(
            "no config",
            dir -> Files.delete(dir.resolve("config.json")),
            "config.json does not exist"));
    all.add(
        damage(
            "config is a directory",
            dir -> {
              Files.delete(dir.resolve("config.json"));
              Files.createDirectory(dir.resolve("config.json"));
            },
            "config.json is a directory"));
    all.add(
        damage(
            "config of another model",
            dir -> Files.writeString(dir.resolve("config.json"), "{\"hidden_size\": 8}"),
            "describes no Engram layers"));
    all.add(
        damage(
            "config no object",
            dir -> Files.writeString(dir.resolve("config.json"), "[1]"),
            "is not a JSON object"));
    all.add(
        damage(
            "config empty",
            dir -> Files.writeString(dir.resolve("config.json"), ""),
            "config.json"));
    all.add(damage("config cut off", config("}}", "}"), "config.json is not valid JSON at line"));
    all.add(damage("config goes on", config("}}", "}} {}"), "config.json is not valid JSON"));
    all.add(damage("NaN", config("1e-20", "NaN"), "config.json", "NaN"));
    all.add(damage("infinite eps", config("1e-20", "1e999"), "norm eps is Infinity"));
    all.add(
        damage("eps a string", config("1e-20", "\"x\""), "rms_norm_eps is \"x\", not a number"));
    all.add(
        damage(
            "zero heads",
            config("\"engram_n_heads\": 2", "\"engram_n_heads\": 0"),
            "heads per n-gram is 0"));
    all.add(
        damage(
            "half a head",
            config("\"engram_n_heads\": 2", "\"engram_n_heads\": 2.5"),
            "engram_n_heads is 2.5, not a whole number"));
    all.add(
        damage(
            "heads as text",
            config("\"engram_n_heads\": 2", "\"engram_n_heads\": \"2\""),
            "engram_n_heads is \"2\""));
    all.add(
        damage(
            "heads beyond int",
            config("\"engram_n_heads\": 2", "\"engram_n_heads\": 4294967298"),
            "beyond 32 bits"));
    all.add(
        damage(
            "a billion heads",
            config("\"engram_n_heads\": 2", "\"engram_n_heads\": 1000000000"),
            "heads per n-gram is 1000000000"));
    all.add(
        damage(
            "missing field", config("\"engram_head_dim\": 4,", ""), "engram_head_dim is missing"));
    all.add(damage("layer twice", config("[1, 3]", "[1, 1]"), "layer id 1 stands twice"));
    all.add(damage("no layers", config("[1, 3]", "[]"), "layers is 0"));
    all.add(damage("negative layer", config("[1, 3]", "[1, -3]"), "layer id is -3"));
    all.add(damage("layers no list", config("[1, 3]", "7"), "engram_layer_ids is 7, not a list"));
    all.add(
        damage(
            "three counts for two layers",
            config("[60, 120]", "[60, 120, 5]"),
            "3 row counts for 2 layers"));
    all.add(
        damage(
            "prime sums",
            config("[60, 120]", "[60, 121]"),
            "layer 3 sum of primes: 120, but engram_num_embeddings says 121"));
    all.add(
        damage(
            "compressed size",
            config("\"engram_compressed_vocab_size\": 3", "\"engram_compressed_vocab_size\": 4"),
            "3, but engram_compressed_vocab_size says 4"));
    all.add(
        damage(
            "pad outside",
            config("\"engram_pad_token_id\": 0", "\"engram_pad_token_id\": 5"),
            "pad token: 5 is outside the vocabulary of 5 ids"));
    all.add(
        damage(
            "prime search beyond 2^32",
            config("\"engram_vocab_size\": 10", "\"engram_vocab_size\": 4294967296"),
            "vocabulary size is 4294967296"));
    all.add(
        damage(
            "no shards",
            dir -> {
              for (String name :
                  List.of("model.safetensors.index.json", "a.safetensors", "b.safetensors")) {
                Files.delete(dir.resolve(name));
              }
            },
            "neither model.safetensors.index.json nor model.safetensors"));
    all.add(
        damage(
            "missing shard",
            dir -> Files.delete(dir.resolve("b.safetensors")),
            "layers.3.engram.embed.weight",
            "b.safetensors does not exist",
            "layers.3.engram.k_weight"));
    all.add(
        damage(
            "shard is a directory",
            dir -> {
              Files.delete(dir.resolve("b.safetensors"));
              Files.createDirectory(dir.resolve("b.safetensors"));
            },
            "b.safetensors is a directory, not a file"));
    all.add(
        damage(
            "truncated shard",
            dir -> {
              try (RandomAccessFile file =
                  new RandomAccessFile(dir.resolve("a.safetensors").toFile(), "rw")) {
                file.setLength(file.length() - 1);
              }
            },
            "a.safetensors: tensor layers.1.engram.k_weight ends at byte",
            "truncated"));
    all.add(
        damage(
            "empty shard",
            dir -> Files.write(dir.resolve("a.safetensors"), new byte[0]),
            "a.safetensors has 0 bytes"));
    all.add(
        damage(
            "header beyond the file",
            headerLength(1 << 20),
            "a.safetensors says its header has 1048576 bytes"));
    all.add(
        damage(
            "negative header", headerLength(-1), "says its header has 18446744073709551615 bytes"));
    all.add(damage("header of nothing", headerLength(0), "says its header has 0 bytes"));
    all.add(
        damage(
            "2 GB header",
            dir -> {
              try (RandomAccessFile file =
                  new RandomAccessFile(dir.resolve("a.safetensors").toFile(), "rw")) {
                file.writeLong(Long.reverseBytes(2L << 30));
                file.setLength(3L << 30);
              }
            },
            "a.safetensors has a header of 2147483648 bytes; more than 100000000 are not allowed"));
    all.add(
        damage(
            "2 GB config",
            dir -> {
              try (RandomAccessFile file =
                  new RandomAccessFile(dir.resolve("config.json").toFile(), "rw")) {
                file.setLength(2L << 30);
              }
            },
            "config.json has 2147483648 bytes"));
    all.add(
        damage(
            "overlap",
            header("\"data_offsets\":[240,300]", "\"data_offsets\":[239,299]"),
            "embed.scale begins at byte",
            "embed.weight ends at"));
    all.add(
        damage(
            "offsets backwards", header("[0,240]", "[240,0]"), "impossible data_offsets [240,0]"));
    all.add(damage("negative offsets", header("[0,240]", "[-9,24]"), "impossible data_offsets"));
    all.add(damage("fractional offsets", header("[0,240]", "[0,2.5]"), "impossible data_offsets"));
    all.add(
        damage(
            "missing offsets",
            header("data_offsets", "data_offsetz"),
            "lacks dtype, shape or two data_offsets"));
    all.add(
        damage(
            "bytes of another shape",
            header("[60,4]", "[61,4]"),
            "has 240 bytes, but F8_E4M3 of shape [61, 4] takes 244"));
    all.add(
        damage(
            "overflowing shape",
            header("[60,4]", "[4611686018427387904,4]"),
            "has more than 2^63 bytes"));
    all.add(damage("negative shape", header("[60,4]", "[-60,-4]"), "impossible shape"));
    all.add(
        damage(
            "wrong shape",
            header("[60,4]", "[4,60]"),
            "layers.1.engram.embed.weight has shape [4, 60], but the configuration gives [60, 4]"));
    all.add(
        damage(
            "wrong type",
            header(
                "\"dtype\":\"F8_E4M3\",\"shape\":[60,4]", "\"dtype\":\"F8_E8M0\",\"shape\":[60,4]"),
            "layers.1.engram.embed.weight has type F8_E8M0"));
    all.add(
        damage(
            "unknown type",
            header(
                "\"dtype\":\"F8_E4M3\",\"shape\":[60,4]", "\"dtype\":\"F8_E5M2\",\"shape\":[60,4]"),
            "layers.1.engram.embed.weight has type F8_E5M2"));
    all.add(
        damage(
            "duplicate tensor",
            header("layers.1.engram.k_weight", "layers.1.engram.q_weight"),
            "a.safetensors",
            "Duplicate field"));
    all.add(
        damage(
            "tensor not in its shard",
            header("layers.1.engram.k_weight", "layers.9.engram.k_weight"),
            "layers.1.engram.k_weight is not in a.safetensors"));
    all.add(
        damage(
            "index out of the directory",
            dir ->
                SmallModel.edit(
                    dir.resolve("model.safetensors.index.json"),
                    "c.safetensors",
                    "../c.safetensors"),
            "which is no file name"));
    all.add(
        damage(
            "index without map",
            dir -> Files.writeString(dir.resolve("model.safetensors.index.json"), "{}"),
            "has no weight_map"));
    all.add(
        damage(
            "no tokenizer",
            dir -> Files.delete(dir.resolve("tokenizer.json")),
            "neither tokenizer.json nor engram-map.bin"));
    all.add(damage("tokenizer cut off", tokenizer("\"merges\": []}}", ""), "tokenizer.json"));
    all.add(
        damage("tokenizer of another kind", tokenizer("BPE", "Unigram"), "model of type Unigram"));
    all.add(
        damage(
            "another decoder",
            tokenizer("\"type\": \"ByteLevel\"", "\"type\": \"Metaspace\""),
            "decoder of type Metaspace"));
    all.add(damage("no decoder", tokenizer("decoder", "decodor"), "no ByteLevel decoder"));
    all.add(
        damage("id twice", tokenizer("\"The\": 1", "\"The\": 0"), "gives the id 0 to two tokens"));
    all.add(
        damage(
            "token twice",
            tokenizer("\"The\": 1", "\"the\": 1"),
            "tokenizer.json",
            "Duplicate field 'the'"));
    all.add(damage("gap in the ids", tokenizer("\"a\": 3", "\"a\": 9"), "ids must be dense"));
    all.add(damage("negative id", tokenizer("\"a\": 3", "\"a\": -3"), "token id -3"));
    all.add(damage("huge id", tokenizer("\"a\": 3", "\"a\": 99999999999"), "token id 99999999999"));
    all.add(
        damage(
            "id as text",
            tokenizer("\"a\": 3", "\"a\": \"3\""),
            "the id of token a is VALUE_STRING"));
    all.add(
        damage(
            "added token without id",
            tokenizer("\"id\": 4, ", ""),
            "added token without id or content"));
    all.add(
        damage(
            "broken map file",
            dir ->
                Files.writeString(
                    dir.resolve(TokenMapFile.NAME),
                    "ENGRMAP1 and then something else, long enough to be read"),
            "engram-map.bin"));
    return all.stream();
  }

  private static void delete(Path directory) throws IOException {
    try (Stream<Path> files = Files.walk(directory)) {
      for (Path file : files.sorted(java.util.Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    }
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("damages")
  void isToldClearly(String name, Damage damage, List<String> fragments) throws IOException {
    Path inner = Files.createDirectory(directory.resolve("inner"));
    SmallModel.write(inner);
    damage.to(inner);
    IOException e = assertThrows(IOException.class, () -> open(inner).close());
    String message = String.valueOf(e.getMessage());
    for (String fragment : fragments) {
      assertTrue(message.contains(fragment), name + ": " + message);
    }
    assertFalse(message.contains("\n"), message);
  }

  @Test
  void aDirectoryThatIsAFile() throws IOException {
    Path file = Files.writeString(directory.resolve("file"), "x");
    IOException e = assertThrows(IOException.class, () -> EngramDirectory.read(file));
    assertTrue(String.valueOf(e.getMessage()).contains("is a file, not a model directory"));
  }

  @Test
  void hashingNeedsNoTensors() throws IOException {
    Files.delete(directory.resolve("a.safetensors"));
    Files.delete(directory.resolve("b.safetensors"));
    EngramDirectory read = EngramDirectory.read(directory);
    EngramModel model = read.openForHashing(new JavaBackend());
    var sequence = model.newSequence();
    sequence.append(3);
    model.layer(3).hash(model.newBatch().add(sequence, 0, 1), MemorySegment.ofArray(new long[4]));
    SmallModel.edit(directory.resolve("config.json"), "[60, 120]", "[60, 121]");
    EngramDirectory wrong = EngramDirectory.read(directory);
    assertThrows(IOException.class, () -> wrong.openForHashing(new JavaBackend()));
  }

  /** The format does not ask for alignment, and truth files of odd sizes have none. */
  @Test
  void tensorsAtOddOffsetsAreReadRight() throws IOException {
    Path file = directory.resolve("odd.safetensors");
    List<Declaration> tensors =
        List.of(
            Declaration.of("one", Dtype.BOOL, 1),
            Declaration.of("f32", Dtype.F32, 2),
            Declaration.of("bf16", Dtype.BF16, 1),
            Declaration.of("i64", Dtype.I64, 1),
            Declaration.of("f64", Dtype.F64, 1));
    try (SafetensorsWriter writer = new SafetensorsWriter(file, tensors)) {
      ByteBuffer data = ByteBuffer.allocate(27).order(java.nio.ByteOrder.LITTLE_ENDIAN);
      data.put((byte) 1).putFloat(1.5f).putFloat(-2).putShort((short) 0x4040);
      writer.write(data.putLong(-7).putDouble(0.1).flip());
    }
    var read = SafetensorsFile.open(file).tensors();
    org.junit.jupiter.api.Assertions.assertArrayEquals(
        new double[] {1.5, -2},
        TensorData.doubles(java.util.Objects.requireNonNull(read.get("f32"))));
    org.junit.jupiter.api.Assertions.assertArrayEquals(
        new long[] {-7}, TensorData.longs(java.util.Objects.requireNonNull(read.get("i64"))));
    assertEquals(3, TensorData.floats(java.util.Objects.requireNonNull(read.get("bf16")))[0]);
  }

  @Test
  void aWriterThatWasNotFilledSaysSo() throws IOException {
    Path file = directory.resolve("short.safetensors");
    SafetensorsWriter writer =
        new SafetensorsWriter(file, List.of(Declaration.of("t", Dtype.F32, 4)));
    writer.write(ByteBuffer.allocate(8));
    IOException e = assertThrows(IOException.class, writer::close);
    assertTrue(String.valueOf(e.getMessage()).contains("was declared with"), e.getMessage());
  }

  @Test
  void oneFileInsteadOfShards() throws IOException {
    Files.delete(directory.resolve("model.safetensors.index.json"));
    List<Declaration> all = new ArrayList<>(SmallModel.tensors(1, 60));
    all.addAll(SmallModel.tensors(3, 120));
    List<Declaration> prefixed =
        all.stream().map(d -> new Declaration("model." + d.name(), d.dtype(), d.shape())).toList();
    SmallModel.shard(directory.resolve("model.safetensors"), prefixed);
    open(directory).close();
    assertEquals(
        "model.layers.1.engram.embed.weight",
        EngramDirectory.read(directory).tensors(1).getFirst().name());
  }

  @Test
  void aFlatConfigWithTheReferencesNames() throws IOException {
    String flat =
        new String(Files.readAllBytes(directory.resolve("config.json")), StandardCharsets.UTF_8)
            .replace("\"text_config\": {", "")
            .replace("}}", "}")
            .replace("engram_pad_token_id", "engram_pad_id")
            .replace("rms_norm_eps", "norm_eps");
    Files.writeString(directory.resolve("config.json"), flat);
    open(directory).close();
  }
}
