package io.engram4j.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.engram4j.Backends;
import io.engram4j.EngramModel;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.hf.SafetensorsWriter;
import io.engram4j.hf.SafetensorsWriter.Declaration;
import io.engram4j.hf.TensorInfo;
import io.engram4j.kernel.BackendProvider;
import io.engram4j.kernel.java.JavaBackend;
import io.engram4j.model.Dtype;
import io.engram4j.model.TokenMap;
import io.engram4j.model.TokenMapFile;
import io.engram4j.table.Placement;
import io.engram4j.table.TableOptions;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * DeepSeek-V4.1-Flash's whole layout at its real size, 203 GB, on sparse files: the two shards of
 * 48 that hold Engram tensors, and no others.
 */
class FullSizeTest {
  private static final long[] ROWS = {384_006_168, 384_016_682};
  private static final int[] LAYERS = {1, 14};

  @TempDir static Path directory;

  @BeforeAll
  static void write() throws IOException {
    Files.writeString(
        directory.resolve("config.json"),
        """
        {"architectures": ["DeepseekV41ForCausalLM"], "model_type": "deepseek_v41", "text_config": {
          "model_type": "deepseek_v41_text", "hidden_size": 5120, "num_hidden_layers": 40,
          "hc_mult": 4, "vocab_size": 129280, "rms_norm_eps": 1e-20, "image_token_id": 129264,
          "engram_layer_ids": [1, 14], "engram_num_embeddings": [384006168, 384016682],
          "engram_max_ngram_size": 4, "engram_vocab_size": 16000000, "engram_n_heads": 8,
          "engram_head_dim": 256, "engram_compressed_vocab_size": 99092,
          "engram_pad_token_id": 2}}
        """);
    StringBuilder index =
        new StringBuilder(
            "{\"weight_map\": {\"embed.weight\": \"model-00001-of-00048.safetensors\"");
    for (int i = 0; i < 2; i++) {
      String shard = "model-000%d-of-00048.safetensors".formatted(47 + i);
      List<Declaration> tensors = tensors(LAYERS[i], ROWS[i]);
      for (Declaration tensor : tensors) {
        index.append(", \"").append(tensor.name()).append("\": \"").append(shard).append('"');
      }
      try (SafetensorsWriter writer = new SafetensorsWriter(directory.resolve(shard), tensors)) {
        writer.fillWithHole();
      }
    }
    Files.writeString(
        directory.resolve("model.safetensors.index.json"), index.append("}}").toString());
    int[] map = new int[129_280];
    for (int id = 0; id < map.length; id++) {
      map[id] = id < 99_092 ? id : id - 99_092;
    }
    TokenMapFile.save(TokenMap.of(map), directory.resolve(TokenMapFile.NAME));
  }

  private static List<Declaration> tensors(int layer, long rows) {
    String prefix = "layers." + layer + ".engram.";
    return List.of(
        Declaration.of(prefix + "embed.weight", Dtype.F8_E4M3, rows, 256),
        Declaration.of(prefix + "embed.scale", Dtype.F8_E8M0, rows, 8),
        Declaration.of(prefix + "wkv.weight", Dtype.F8_E4M3, 25600, 6144),
        Declaration.of(prefix + "wkv.scale", Dtype.F8_E8M0, 800, 192),
        Declaration.of(prefix + "q_weight", Dtype.BF16, 4, 5120),
        Declaration.of(prefix + "k_weight", Dtype.BF16, 4, 5120));
  }

  @Test
  void inspectAndHash() throws IOException {
    Cli.Result inspect = Cli.run("inspect", directory.toString(), "--json");
    assertEquals(0, inspect.exit(), inspect.out() + inspect.err());
    JsonNode json = new ObjectMapper().readTree(inspect.out());
    assertEquals(ROWS[1], json.get("layers").get(1).get("rows").asLong());
    long bytes = 0;
    for (JsonNode tensor : json.get("tensors")) {
      bytes += tensor.get("bytes").asLong();
    }
    assertEquals(203_073_076_240L, bytes, "tables, projections and gate weights");
    Cli.Result hash = Cli.run("hash", directory.toString(), "--ids", "0,3", "--json");
    JsonNode tokens = new ObjectMapper().readTree(hash.out()).get("tokens");
    assertEquals(5702652, tokens.get(0).get("rows").get("1").get(0).asLong());
    assertEquals(379703671, tokens.get(1).get("rows").get("14").get(23).asLong());
  }

  /** Writes a row's first code and its scales. */
  private static void row(int layer, long row, int code) throws IOException {
    List<TensorInfo> tensors = EngramDirectory.read(directory).tensors(layer);
    TensorInfo weight = tensors.get(0);
    TensorInfo scale = tensors.get(1);
    try (FileChannel channel = FileChannel.open(weight.file(), StandardOpenOption.WRITE)) {
      channel.write(ByteBuffer.wrap(new byte[] {(byte) code}), weight.offset() + row * 256);
      byte[] ones = new byte[8];
      java.util.Arrays.fill(ones, (byte) 127);
      channel.write(ByteBuffer.wrap(ones), scale.offset() + row * 8);
    }
  }

  @Test
  void theFirstAndTheLastRow() throws IOException {
    try (EngramModel model = EngramDirectory.read(directory).open(new JavaBackend())) {
      for (int i = 0; i < 2; i++) {
        row(LAYERS[i], 0, 0x38);
        row(LAYERS[i], ROWS[i] - 1, 0x40);
        for (BackendProvider provider : Backends.providers()) {
          if (provider.unavailable().isPresent()) {
            continue;
          }
          float[] out = new float[512];
          model
              .withBackend(provider.create())
              .layer(LAYERS[i])
              .gather(
                  MemorySegment.ofArray(new long[] {0, ROWS[i] - 1}),
                  2,
                  MemorySegment.ofArray(out),
                  Dtype.F32);
          assertEquals(1, out[0], provider.name());
          assertEquals(2, out[256], provider.name());
        }
      }
    }
  }

  /** Rows of random content at random places, among holes: every backend reads the same. */
  @Test
  void randomRows() throws IOException {
    SplittableRandom random = new SplittableRandom(3);
    for (int i = 0; i < 2; i++) {
      long[] ids = new long[300];
      TensorInfo weight = EngramDirectory.read(directory).tensors(LAYERS[i]).get(0);
      TensorInfo scale = EngramDirectory.read(directory).tensors(LAYERS[i]).get(1);
      try (FileChannel channel = FileChannel.open(weight.file(), StandardOpenOption.WRITE)) {
        for (int k = 0; k < ids.length; k++) {
          ids[k] = random.nextLong(1, ROWS[i] - 1);
          byte[] codes = new byte[256];
          byte[] scales = new byte[8];
          random.nextBytes(codes);
          random.nextBytes(scales);
          if (k % 3 > 0) { // the others stay holes
            channel.write(ByteBuffer.wrap(codes), weight.offset() + ids[k] * 256);
            channel.write(ByteBuffer.wrap(scales), scale.offset() + ids[k] * 8);
          }
        }
      }
      try (EngramModel model = EngramDirectory.read(directory).open(new JavaBackend())) {
        float[] expected = rows(model, LAYERS[i], ids);
        for (BackendProvider provider : Backends.providers()) {
          if (provider.unavailable().isEmpty()) {
            float[] actual = rows(model.withBackend(provider.create()), LAYERS[i], ids);
            assertArrayEquals(expected, actual, provider.name());
          }
        }
      }
    }
  }

  private static float[] rows(EngramModel model, int layer, long[] ids) {
    float[] out = new float[ids.length * 256];
    model
        .layer(layer)
        .gather(MemorySegment.ofArray(ids), ids.length, MemorySegment.ofArray(out), Dtype.F32);
    return out;
  }

  /** What fits on no machine of today is refused with both numbers; all else reads the same. */
  @Test
  void everyPlacementAtFullSize() throws IOException {
    for (int i = 0; i < 2; i++) {
      row(LAYERS[i], 0, 0x38);
      row(LAYERS[i], ROWS[i] - 1, 0x40);
    }
    for (Placement placement : List.of(Placement.MAPPED, Placement.STREAMED, Placement.AUTO)) {
      TableOptions options = TableOptions.defaults().placement(placement);
      try (EngramModel model = EngramDirectory.read(directory).open(Backends.select(), options)) {
        for (int i = 0; i < 2; i++) {
          float[] out = rows(model, LAYERS[i], new long[] {0, ROWS[i] - 1});
          assertEquals(1, out[0], placement.toString());
          assertEquals(2, out[256], placement.toString());
        }
      }
    }
    TableOptions resident = TableOptions.defaults().placement(Placement.RESIDENT);
    IOException e =
        assertThrows(
            IOException.class,
            () -> EngramDirectory.read(directory).open(Backends.select(), resident));
    assertTrue(
        String.valueOf(e.getMessage()).contains("takes 101377628352 bytes, but only"),
        e.toString());
  }

  /** Opens the model in a JVM of its own and tells time and memory. */
  static final class Probe {
    private Probe() {}

    public static void main(String[] args) throws IOException {
      long start = System.nanoTime();
      try (EngramModel model = EngramDirectory.open(Path.of(args[0]))) {
        long nanos = System.nanoTime() - start;
        var sequence = model.newSequence();
        sequence.append(new int[] {0, 3});
        MemorySegment ids = MemorySegment.ofArray(new long[48]);
        MemorySegment rows = MemorySegment.ofArray(new float[48 * 256]);
        for (var layer : model.layers()) {
          layer.hash(model.newBatch().add(sequence, 0, 2), ids);
          layer.gather(ids, 48, rows, Dtype.F32);
        }
        System.out.println(nanos / 1_000_000);
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
          if (line.startsWith("VmHWM")) {
            System.out.println(line.replaceAll("[^0-9]", ""));
          }
        }
      }
    }
  }

  @Test
  void opensQuicklyAndInLittleMemory() throws IOException {
    List<String> command =
        List.of(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-XX:+UseSerialGC",
            "-cp",
            System.getProperty("java.class.path"),
            Probe.class.getName(),
            directory.toString());
    Cli.Result result = Cli.process(Map.of(), "", command);
    assertEquals(0, result.exit(), result.err());
    List<Long> numbers = new ArrayList<>(result.out().lines().map(Long::parseLong).toList());
    System.out.println(
        "opened 203 GB in " + numbers.get(0) + " ms, peak " + numbers.get(1) + " kB");
    assertTrue(numbers.get(0) < 5_000, "took " + numbers.get(0) + " ms");
    assertTrue(numbers.get(1) < 400_000, "took " + numbers.get(1) + " kB");
  }
}
