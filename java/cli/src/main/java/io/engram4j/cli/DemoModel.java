package io.engram4j.cli;

import io.engram4j.format.Bfloat16;
import io.engram4j.format.Dtype;
import io.engram4j.gather.Table;
import io.engram4j.hf.Check;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.hf.SafetensorsWriter;
import io.engram4j.hf.SafetensorsWriter.Declaration;
import io.engram4j.layout.EngramConfig;
import io.engram4j.layout.EngramConfig.Variant;
import io.engram4j.layout.EngramLayout;
import io.engram4j.map.TokenMap;
import io.engram4j.map.TokenMapFile;
import io.engram4j.project.Linear;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import java.util.stream.Stream;

/**
 * A deterministic model in DeepSeek-V4.1's layout, with random weights, at a size that fits a
 * laptop: 256 MB of tables where the real one has 203 GB. Made once, in a cache directory.
 */
final class DemoModel {
  private static final String NAME = "demo-v41-1";
  private static final int HIDDEN = 512;
  private static final int BRANCHES = 4;
  private static final int TABLE_START = 20_000;
  private static final int PAD = 0;

  private DemoModel() {}

  /** Returns where this command keeps what it makes: $ENGRAM_CACHE, else the user's cache. */
  static Path cacheDirectory() {
    String own = System.getenv("ENGRAM_CACHE");
    if (own != null && !own.isBlank()) {
      return Path.of(own);
    }
    String xdg = System.getenv("XDG_CACHE_HOME");
    Path base =
        xdg != null && !xdg.isBlank()
            ? Path.of(xdg)
            : Path.of(System.getProperty("user.home"), ".cache");
    return base.resolve("engram4j");
  }

  /**
   * Returns the model's directory, after making it if it is not there.
   *
   * <p>It is written beside its place and moved there whole, so that a full disk or a kill never
   * leaves half a model that looks like one.
   *
   * @throws IOException if it cannot be written; then nothing is left behind
   */
  private static Path ensure(Path cache, TokenMap map) throws IOException {
    Path model = cache.resolve(NAME);
    if (Files.exists(model.resolve("config.json"))) {
      return model;
    }
    createDirectory(cache);
    delete(model); // what a damaged cache may have left of it
    Path making = Files.createTempDirectory(cache, NAME + ".tmp-");
    try {
      write(making, map);
      Files.move(making, model, StandardCopyOption.ATOMIC_MOVE);
    } catch (FileSystemException e) {
      if (!Files.exists(model.resolve("config.json"))) {
        throw e;
      }
      // another process was faster; its model is the same
    } finally {
      delete(making);
    }
    return model;
  }

  /** Makes the model anew if its files are damaged. */
  static EngramDirectory open(Path cache, TokenMap map) throws IOException {
    Path path = ensure(cache, map);
    EngramDirectory directory = EngramDirectory.read(path);
    if (directory.checks().stream().allMatch(Check::passed)) {
      return directory;
    }
    delete(path);
    return EngramDirectory.read(ensure(cache, map));
  }

  private static void createDirectory(Path cache) throws IOException {
    try {
      Files.createDirectories(cache);
    } catch (IOException e) {
      throw new IOException("the cache directory " + cache + " cannot be made: " + reason(e), e);
    }
    if (!Files.isWritable(cache)) {
      throw new IOException(
          "the cache directory " + cache + " is not writable; set ENGRAM_CACHE to one that is");
    }
  }

  private static String reason(IOException e) {
    return e instanceof FileAlreadyExistsException
        ? "a file is in the way"
        : e.getClass().getSimpleName() + " " + e.getMessage();
  }

  private static void delete(Path directory) throws IOException {
    if (Files.exists(directory)) {
      try (Stream<Path> files = Files.walk(directory)) {
        for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
          Files.delete(file);
        }
      }
    }
  }

  private static EngramConfig config(int compressedSize) {
    return new EngramConfig(
        Variant.V41,
        HIDDEN,
        BRANCHES,
        List.of(1, 14),
        4,
        Collections.nCopies(3, (long) TABLE_START),
        8,
        256,
        PAD,
        0,
        1e-20,
        0,
        OptionalInt.empty(),
        OptionalInt.of(compressedSize),
        List.of());
  }

  private static void write(Path directory, TokenMap map) throws IOException {
    EngramConfig config = config(map.distinct());
    List<Long> rows =
        EngramLayout.primes(config).stream().map(primes -> Arrays.stream(primes).sum()).toList();
    TokenMapFile.save(map, directory.resolve(TokenMapFile.NAME));
    StringBuilder index = new StringBuilder("{\n \"weight_map\": {\n");
    long bytes = rows.stream().mapToLong(count -> count * (256 + 8)).sum();
    try (Progress progress = new Progress("making the demo model", bytes, " MB", 1_000_000)) {
      for (int i = 0; i < rows.size(); i++) {
        String shard = "model-0000" + (i + 1) + "-of-00002.safetensors";
        int id = config.layerIds().get(i);
        List<Declaration> tensors = declarations(config, id, rows.get(i));
        shard(directory.resolve(shard), tensors, id, progress);
        for (Declaration tensor : tensors) {
          index.append("  \"%s\": \"%s\",\n".formatted(tensor.name(), shard));
        }
      }
    }
    index.setLength(index.length() - 2);
    index.append("\n }\n}\n");
    Files.writeString(directory.resolve("model.safetensors.index.json"), index);
    Files.writeString(directory.resolve("config.json"), configJson(config, rows));
  }

  private static String configJson(EngramConfig config, List<Long> rows) {
    return """
    {
     "model_type": "deepseek_v41",
     "text_config": {
      "model_type": "deepseek_v41_text",
      "hidden_size": %d,
      "hc_mult": %d,
      "rms_norm_eps": 1e-20,
      "engram_layer_ids": %s,
      "engram_num_embeddings": %s,
      "engram_max_ngram_size": 4,
      "engram_vocab_size": %d,
      "engram_n_heads": 8,
      "engram_head_dim": 256,
      "engram_pad_token_id": %d,
      "engram_compressed_vocab_size": %d
     }
    }
    """
        .formatted(
            HIDDEN,
            BRANCHES,
            config.layerIds(),
            rows,
            TABLE_START,
            PAD,
            config.compressedSize().orElseThrow());
  }

  private static List<Declaration> declarations(EngramConfig config, int layer, long rows) {
    String prefix = "layers." + layer + ".engram.";
    int kv = config.kvWidth();
    int width = config.rowWidth();
    return List.of(
        Declaration.of(prefix + "embed.weight", Dtype.F8_E4M3, rows, config.headDim()),
        Declaration.of(
            prefix + "embed.scale", Dtype.F8_E8M0, rows, Table.scalesPerRow(config.headDim())),
        Declaration.of(prefix + "wkv.weight", Dtype.F8_E4M3, kv, width),
        Declaration.of(prefix + "wkv.scale", Dtype.F8_E8M0, Linear.tiles(kv), Linear.tiles(width)),
        Declaration.of(prefix + "q_weight", Dtype.BF16, BRANCHES, HIDDEN),
        Declaration.of(prefix + "k_weight", Dtype.BF16, BRANCHES, HIDDEN));
  }

  private static void shard(Path file, List<Declaration> tensors, int layer, Progress progress)
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
          progress.step(count);
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
