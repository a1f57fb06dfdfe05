package io.engram4j.hf;

import io.engram4j.hf.SafetensorsWriter.Declaration;
import io.engram4j.model.Dtype;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Writes a small, whole model directory in V4.1's layout, which tests then damage. */
final class SmallModel {
  static final String CONFIG =
      """
      {"model_type": "deepseek_v41", "text_config": {
        "hidden_size": 8, "hc_mult": 2, "rms_norm_eps": 1e-20, "engram_layer_ids": [1, 3],
        "engram_num_embeddings": [60, 120], "engram_max_ngram_size": 3, "engram_vocab_size": 10,
        "engram_n_heads": 2, "engram_head_dim": 4, "engram_pad_token_id": 0,
        "engram_compressed_vocab_size": 3}}
      """;
  static final String INDEX =
      """
      {"weight_map": {"layers.1.engram.embed.weight": "a.safetensors",
        "layers.1.engram.embed.scale": "a.safetensors", "layers.1.engram.wkv.weight": "a.safetensors",
        "layers.1.engram.wkv.scale": "a.safetensors", "layers.1.engram.q_weight": "a.safetensors",
        "layers.1.engram.k_weight": "a.safetensors", "layers.3.engram.embed.weight": "b.safetensors",
        "layers.3.engram.embed.scale": "b.safetensors", "layers.3.engram.wkv.weight": "b.safetensors",
        "layers.3.engram.wkv.scale": "b.safetensors", "layers.3.engram.q_weight": "b.safetensors",
        "layers.3.engram.k_weight": "b.safetensors", "layers.0.attn.weight": "c.safetensors"}}
      """;
  static final String TOKENIZER =
      """
      {"version": "1.0", "added_tokens": [{"id": 4, "content": "<end>", "special": true}],
       "decoder": {"type": "ByteLevel"},
       "model": {"type": "BPE", "vocab": {"the": 0, "The": 1, "ĠTHE": 2, "a": 3}, "merges": []}}
      """;

  private SmallModel() {}

  static List<Declaration> tensors(int layer, long rows) {
    String prefix = "layers." + layer + ".engram.";
    return List.of(
        Declaration.of(prefix + "embed.weight", Dtype.F8_E4M3, rows, 4),
        Declaration.of(prefix + "embed.scale", Dtype.F8_E8M0, rows, 1),
        Declaration.of(prefix + "wkv.weight", Dtype.F8_E4M3, 24, 16),
        Declaration.of(prefix + "wkv.scale", Dtype.F8_E8M0, 1, 1),
        Declaration.of(prefix + "q_weight", Dtype.BF16, 2, 8),
        Declaration.of(prefix + "k_weight", Dtype.BF16, 2, 8));
  }

  static void shard(Path file, List<Declaration> tensors) throws IOException {
    Files.deleteIfExists(file);
    try (SafetensorsWriter writer = new SafetensorsWriter(file, tensors)) {
      for (Declaration tensor : tensors) {
        byte[] data = new byte[Math.toIntExact(tensor.bytes())];
        java.util.Arrays.fill(data, (byte) 0x38);
        writer.write(ByteBuffer.wrap(data));
      }
    }
  }

  /** Writes the model; primes from 10 are 11 13 17 19 | 23 29 31 37, sums 60 and 120. */
  static Path write(Path directory) throws IOException {
    Files.writeString(directory.resolve("config.json"), CONFIG);
    Files.writeString(directory.resolve("model.safetensors.index.json"), INDEX);
    Files.writeString(directory.resolve("tokenizer.json"), TOKENIZER);
    shard(directory.resolve("a.safetensors"), tensors(1, 60));
    shard(directory.resolve("b.safetensors"), tensors(3, 120));
    return directory;
  }

  /** Replaces text in a file, byte for byte. */
  static void edit(Path file, String from, String to) throws IOException {
    String text = Files.readString(file, StandardCharsets.ISO_8859_1);
    if (!text.contains(from)) {
      throw new IllegalArgumentException(file + " does not contain " + from);
    }
    Files.writeString(file, text.replace(from, to), StandardCharsets.ISO_8859_1);
  }
}
