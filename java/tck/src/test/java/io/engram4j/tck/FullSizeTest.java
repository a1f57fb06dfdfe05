package io.engram4j.tck;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.Backends;
import io.engram4j.EngramModel;
import io.engram4j.hf.EngramModels;
import io.engram4j.hf.ModelFiles;
import io.engram4j.hf.SafetensorsWriter;
import io.engram4j.hf.SafetensorsWriter.Declaration;
import io.engram4j.model.Dtype;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.EngramLayout;
import io.engram4j.model.LayerLayout;
import io.engram4j.table.Placement;
import io.engram4j.table.TableOptions;
import io.engram4j.table.io.TableFile;
import io.engram4j.table.io.TableFile.Part;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Published models at their real sizes, 102 GB and 111 GB of rows, on sparse files. */
class FullSizeTest {
  private static final int VOCABULARY = 129_280;
  private static final int COMPRESSED = 99_092;

  @TempDir Path directory;

  /** Writes the bytes of a row, wherever it lies. */
  private static void write(TableFile table, long row, byte[] bytes) throws IOException {
    for (Part part : table.parts()) {
      if (row >= part.first() && row < part.first() + part.rows()) {
        try (FileChannel file = FileChannel.open(part.weight().file(), StandardOpenOption.WRITE)) {
          long at = part.weight().offset() + (row - part.first()) * part.weight().stride();
          file.write(ByteBuffer.wrap(bytes), at);
        }
      }
    }
  }

  /** Reads and opens a model, says how long it took, and requires that it takes little memory. */
  private static ModelFiles opened(String name, Path path) throws IOException {
    long before = residentKilobytes();
    long start = System.nanoTime();
    ModelFiles files = EngramModels.read(path);
    try (EngramModel _ = files.open(Backends.select())) {
      long millis = (System.nanoTime() - start) / 1_000_000;
      long grown = (residentKilobytes() - before) / 1024;
      System.out.printf("%s opened in %d ms with %d MB more%n", name, millis, grown);
      assertTrue(grown < 150, name + " takes " + grown + " MB, at most 150 are expected");
    }
    return files;
  }

  private static long residentKilobytes() throws IOException {
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith("VmRSS:")) {
        return Long.parseLong(line.replaceAll("\\D", ""));
      }
    }
    throw new IOException("/proc/self/status has no VmRSS");
  }

  private static void requireRows(ModelFiles files, int layer, long[] rows, float[] firsts)
      throws IOException {
    int width = files.config().headDim();
    for (Placement placement : List.of(Placement.MAPPED, Placement.STREAMED)) {
      TableOptions options = TableOptions.defaults().placement(placement);
      for (String backend : List.of("java", Backends.select().name())) {
        try (EngramModel model = files.open(Backends.named(backend), options)) {
          float[] out = new float[rows.length * width];
          model
              .layer(layer)
              .gather(
                  MemorySegment.ofArray(rows), rows.length, MemorySegment.ofArray(out), Dtype.F32);
          for (int i = 0; i < rows.length; i++) {
            assertEquals(firsts[i], out[i * width], backend + " " + placement + " row " + rows[i]);
            assertEquals(0, out[i * width + width - 1]);
          }
        }
      }
    }
  }

  /** Qwen3.8-Flash-Next: 320,001,536 rows over 128 shards, which lie in several files. */
  @Test
  void qwen() throws IOException {
    Files.writeString(
        directory.resolve("config.json"),
        """
        {"model_type": "qwen4_exp", "image_token_id": 248056, "text_config": {
          "model_type": "qwen4_exp_text", "ple_layer_ids": [2], "ple_embed_dim": 2560,
          "ngram_size": 3, "heads_per_ngram": 8, "ngram_vocab_size_base": 20000000,
          "make_ngram_vocab_size_divisible_by": 128, "split_ngram_parts": 128,
          "ple_conv_kernel_size": 4, "vocab_size": 248320, "eos_token_id": 248044,
          "hidden_size": 2560, "hc_count": 4, "rms_norm_eps": 1e-6}}
        """);
    String prefix = "model.language_model.layers.1.ple.";
    StringBuilder index = new StringBuilder("{\"weight_map\": {\"lm_head.weight\": \"x\"");
    for (int file = 0; file < 4; file++) {
      List<Declaration> tensors = new ArrayList<>();
      for (int shard = 31 - file; shard < 128; shard += 4) {
        String name = prefix + "ple_embedding.ngram_embedding.shard_" + shard + ".weight";
        tensors.add(Declaration.of(name, Dtype.BF16, 2_500_012, 160));
      }
      for (int shard = 27 - file; shard >= 0; shard -= 4) {
        String name = prefix + "ple_embedding.ngram_embedding.shard_" + shard + ".weight";
        tensors.add(Declaration.of(name, Dtype.BF16, 2_500_012, 160));
      }
      if (file == 3) {
        tensors.add(Declaration.of(prefix + "key_proj.weight", Dtype.BF16, 10_240, 2560));
        tensors.add(Declaration.of(prefix + "value_proj.weight", Dtype.BF16, 2560, 2560));
        for (String norm : List.of("key", "query", "conv")) {
          tensors.add(Declaration.of(prefix + "norm_" + norm + ".weight", Dtype.BF16, 10_240));
        }
        tensors.add(Declaration.of(prefix + "conv1d.weight", Dtype.BF16, 10_240, 1, 4));
        tensors.add(
            Declaration.of(prefix + "ple_embedding.ngram_heads_vocab_sizes", Dtype.I64, 16));
        tensors.add(Declaration.of(prefix + "ple_embedding.ngram_heads_offsets", Dtype.I64, 16));
        tensors.add(Declaration.of(prefix + "ple_embedding.layer_multipliers", Dtype.I64, 3));
      }
      String name = "model-0000" + (file + 1) + "-of-00004.safetensors";
      for (Declaration tensor : tensors) {
        index.append(", \"").append(tensor.name()).append("\": \"").append(name).append('"');
      }
      try (SafetensorsWriter writer = new SafetensorsWriter(directory.resolve(name), tensors)) {
        writer.fillWithHole();
      }
    }
    Files.writeString(
        directory.resolve("model.safetensors.index.json"), index.append("}}").toString());
    EngramConfig config = EngramModels.read(directory).config();
    LayerLayout layout = EngramLayout.of(config, 248_320).getFirst();
    assertEquals(23703573157769L, layout.multiplier(0), "as published");
    constants(layout);
    ModelFiles files = opened("Qwen's PLE", directory);
    TableFile table = files.tableFile(1);
    assertEquals(320_001_536, table.rows());
    assertEquals(128, table.parts().size());
    long[] rows = {0, 2_500_011, 2_500_012, 20_000_003, 320_001_445, 320_001_535};
    float[] firsts = new float[rows.length];
    for (int i = 0; i < rows.length; i++) {
      firsts[i] = i + 1;
      write(table, rows[i], bf16(i + 1));
    }
    requireRows(files, 1, rows, firsts);
  }

  private static byte[] bf16(float value) {
    int bits = Float.floatToIntBits(value) >>> 16;
    return new byte[] {(byte) bits, (byte) (bits >>> 8)};
  }

  /** Writes the three I64 tensors, which are the last of the last file. */
  private void constants(LayerLayout layout) throws IOException {
    Path file = directory.resolve("model-00004-of-00004.safetensors");
    ByteBuffer numbers = ByteBuffer.allocate(8 * 35).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < 16; i++) {
      numbers.putLong(layout.prime(i));
    }
    for (int i = 0; i < 16; i++) {
      numbers.putLong(layout.offset(i));
    }
    for (int i = 0; i < 3; i++) {
      numbers.putLong(layout.multiplier(i));
    }
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
      channel.write(numbers.flip(), channel.size() - numbers.limit());
    }
  }

  /** DeepSeek-V4.1-Flash as Q4_K: two tables of 384 million rows, 55 GB each. */
  @Test
  void deepSeekAsQ4K() throws IOException {
    EngramConfig config =
        EngramConfig.builder()
            .hiddenSize(5120)
            .branches(4)
            .layerIds(List.of(1, 14))
            .ngrams(4, 16_000_000)
            .heads(8, 256)
            .padTokenId(2)
            .build();
    List<LayerLayout> layouts = EngramLayout.of(config, COMPRESSED);
    long[] primes = new long[48];
    long[] multipliers = new long[8];
    for (int layer = 0; layer < 2; layer++) {
      for (int i = 0; i < 24; i++) {
        primes[24 * layer + i] = layouts.get(layer).prime(i);
      }
      for (int i = 0; i < 4; i++) {
        multipliers[4 * layer + i] = layouts.get(layer).multiplier(i);
      }
    }
    long[] map = new long[VOCABULARY];
    for (int id = 0; id < map.length; id++) {
      map[id] = id < COMPRESSED ? id : id - COMPRESSED;
    }
    String engram = "deepseek41.engram.";
    GgufEdit gguf =
        GgufEdit.empty()
            .text("general.architecture", "deepseek41")
            .number("deepseek41.block_count", 40)
            .number("deepseek41.embedding_length", 5120)
            .number("deepseek41.hyper_connection.count", 4)
            .real("deepseek41.attention.layer_norm_rms_epsilon", 1e-20f)
            .numbers(engram + "layer_ids", 1, 14)
            .number(engram + "head_count", 8)
            .number(engram + "key_length", 256)
            .number(engram + "max_ngram_size", 4)
            .numbers(engram + "multipliers", multipliers)
            .numbers(engram + "primes", primes)
            .numbers(engram + "token_map", map)
            .number(engram + "pad_id", 2);
    long at = 0;
    for (LayerLayout layout : layouts) {
      String block = "blk." + layout.layerId() + ".engram_";
      gguf.tensor(block + "embd.weight", 12, at, 256, layout.rows());
      at += layout.rows() * 144;
      gguf.tensor(block + "wkv.weight", 8, at, 6144, 25_600);
      at += 6144L / 32 * 34 * 25_600;
      gguf.tensor(block + "q.weight", 0, at, 5120, 4);
      gguf.tensor(block + "k.weight", 0, at + 4L * 4 * 5120, 5120, 4);
      at += 2L * 4 * 4 * 5120;
    }
    Path file = directory.resolve("q4_k_m.gguf");
    byte[] header = gguf.bytes();
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
      channel.write(ByteBuffer.wrap(header));
      channel.write(ByteBuffer.wrap(new byte[1]), header.length + at - 1);
    }
    ModelFiles files = opened("V4.1 as Q4_K", file);
    assertEquals(384_006_168, files.tableFile(1).rows());
    assertTrue(files.checks().stream().allMatch(c -> c.detail().contains("are the computed")));
    // d = 1, m = 0, a scale of 1 for the first group, a code of 5 in its first element
    byte[] block = new byte[144];
    block[1] = 0x3c;
    block[4] = 1;
    block[16] = 5;
    long last = files.tableFile(14).rows() - 1;
    write(files.tableFile(14), 0, block);
    write(files.tableFile(14), last, block);
    requireRows(files, 14, new long[] {0, 1, last}, new float[] {5, 0, 5});
  }
}
