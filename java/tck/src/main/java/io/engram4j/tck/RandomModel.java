package io.engram4j.tck;

import io.engram4j.format.Bfloat16;
import io.engram4j.hf.ModelJson;
import io.engram4j.hf.SafetensorsWriter;
import io.engram4j.hf.SafetensorsWriter.Declaration;
import io.engram4j.model.Dtype;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.EngramLayout;
import io.engram4j.table.RowType;
import io.engram4j.weights.Linear;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.LongConsumer;

/**
 * A model directory in DeepSeek-V4.1's layout whose weights are random, the same each time: for
 * demos, and for tests of engines that take Engram in.
 *
 * @param config without a convolution
 * @param rows per layer
 */
public record RandomModel(EngramConfig config, List<Long> rows) {
  public RandomModel {
    if (config.convKernel() != 0) {
      throw new IllegalArgumentException("random models have V4.1's layout, and no convolution");
    }
    rows = List.copyOf(rows);
    if (rows.size() != config.layerIds().size()) {
      throw new IllegalArgumentException(
          "there are " + rows.size() + " row counts for " + config.layerIds().size() + " layers");
    }
  }

  /** A model with the rows that the configuration's primes make. */
  public static RandomModel of(EngramConfig config) {
    return new RandomModel(
        config, EngramLayout.primes(config).stream().map(p -> Arrays.stream(p).sum()).toList());
  }

  /**
   * A model of a few hundred rows, for tests.
   *
   * @param branches 1 for an engine with one residual stream
   */
  public static RandomModel small(int hiddenSize, int branches, List<Integer> layerIds) {
    return of(
        EngramConfig.builder()
            .hiddenSize(hiddenSize)
            .branches(branches)
            .layerIds(layerIds)
            .ngrams(3, List.of(50L, 70L))
            .heads(2, 32)
            .build());
  }

  /** Returns the bytes of all tables. */
  public long tableBytes() {
    int row = config.headDim() + RowType.F8_E4M3.scaleBytes(config.headDim());
    return rows.stream().mapToLong(count -> count * row).sum();
  }

  /** Returns what stands in config.json under {@code text_config}, a JSON object. */
  public String section() {
    return ModelJson.deepSeekV41(config, rows);
  }

  /**
   * Writes everything but the tokenizer: config.json, the index and a file per layer.
   *
   * @param written told of every piece's bytes
   */
  public void write(Path directory, LongConsumer written) throws IOException {
    Map<String, String> files = writeShards(directory, written);
    Files.writeString(directory.resolve("model.safetensors.index.json"), ModelJson.index(files));
    Files.writeString(
        directory.resolve("config.json"),
        "{\n \"model_type\": \"deepseek_v41\",\n \"text_config\": " + section() + "\n}\n");
  }

  /**
   * Writes a file of tensors per layer.
   *
   * @param written told of every piece's bytes
   * @return the file of each tensor, for an index
   */
  public Map<String, String> writeShards(Path directory, LongConsumer written) throws IOException {
    Map<String, String> files = new LinkedHashMap<>();
    for (int i = 0; i < rows.size(); i++) {
      String shard = "engram-%05d-of-%05d.safetensors".formatted(i + 1, rows.size());
      int layer = config.layerIds().get(i);
      List<Declaration> tensors = declarations(layer, rows.get(i));
      shard(directory.resolve(shard), tensors, layer, written);
      tensors.forEach(tensor -> files.put(tensor.name(), shard));
    }
    return files;
  }

  private List<Declaration> declarations(int layer, long count) {
    String prefix = "layers." + layer + ".engram.";
    int kv = config.kvWidth();
    int width = config.rowWidth();
    int scales = RowType.F8_E4M3.scaleBytes(config.headDim());
    return List.of(
        Declaration.of(prefix + "embed.weight", Dtype.F8_E4M3, count, config.headDim()),
        Declaration.of(prefix + "embed.scale", Dtype.F8_E8M0, count, scales),
        Declaration.of(prefix + "wkv.weight", Dtype.F8_E4M3, kv, width),
        Declaration.of(prefix + "wkv.scale", Dtype.F8_E8M0, Linear.tiles(kv), Linear.tiles(width)),
        Declaration.of(prefix + "q_weight", Dtype.BF16, config.branches(), config.hiddenSize()),
        Declaration.of(prefix + "k_weight", Dtype.BF16, config.branches(), config.hiddenSize()));
  }

  private static void shard(Path file, List<Declaration> tensors, int layer, LongConsumer written)
      throws IOException {
    SplittableRandom random = new SplittableRandom(layer);
    try (SafetensorsWriter writer = new SafetensorsWriter(file, tensors)) {
      ByteBuffer chunk = ByteBuffer.allocateDirect(1 << 20).order(ByteOrder.LITTLE_ENDIAN);
      for (Declaration tensor : tensors) {
        long left = tensor.bytes();
        while (left > 0) {
          int count = (int) Math.min(left, chunk.capacity());
          chunk.clear().limit(count);
          fill(chunk, tensor, random);
          writer.write(chunk.flip());
          written.accept(count);
          left -= count;
        }
      }
    }
  }

  private static void fill(ByteBuffer chunk, Declaration tensor, SplittableRandom random) {
    while (chunk.hasRemaining()) {
      switch (tensor.dtype()) {
        case F8_E4M3 -> {
          long bits = random.nextLong();
          for (int i = 0; i < 8 && chunk.hasRemaining(); i++, bits >>>= 8) {
            byte code = (byte) bits;
            chunk.put((code & 0x7f) == 0x7f ? (byte) (code ^ 1) : code); // no NaN
          }
        }
        // rows of about unit size, weights that give values of about a quarter
        case F8_E8M0 -> {
          int least = tensor.name().endsWith("embed.scale") ? 117 : 111;
          chunk.put((byte) (least + random.nextInt(4)));
        }
        default -> chunk.putShort(Bfloat16.fromFloat((float) random.nextGaussian()));
      }
    }
  }
}
