package io.engram4j.hf;

import io.engram4j.gguf.GgmlType;
import io.engram4j.gguf.GgufFile;
import io.engram4j.gguf.GgufTensor;
import io.engram4j.model.Dtype;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.EngramLayout;
import io.engram4j.model.LayerLayout;
import io.engram4j.model.RowHashing;
import io.engram4j.model.TokenMap;
import io.engram4j.table.RowType;
import io.engram4j.table.io.TableFile;
import io.engram4j.weights.GateWeights.ZeroRule;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * DeepSeek-V4.1 as llama.cpp, ik_llama.cpp and ds4 write it, with the spellings of others
 * (docs/spec.md, section 10.1).
 */
final class GgufDeepSeek41 implements GgufDialect {
  private static final String ROW264 = "e4m3_e8m0_32_row264";
  private static final int ROW264_WIDTH = 256;
  private static final long START = 16_000_000;
  private static final int PAD = 2;

  @Override
  public List<String> architectures() {
    return List.of("deepseek41", "deepseek4");
  }

  @Override
  public Described read(GgufFile file, @Nullable Path mapFile) throws IOException {
    String architecture = file.text("general.architecture").orElseThrow();
    GgufKeys model = new GgufKeys(file, architecture + ".");
    GgufKeys keys = new GgufKeys(file, architecture + ".engram.");
    if (!keys.has("layer_ids", "layers")) {
      keys = new GgufKeys(file, "deepseek4.engram."); // of files from before the architecture
    }
    String encoding = file.text(architecture + ".engram.encoding").orElse("");
    if (!encoding.isEmpty() && !encoding.equals(ROW264)) {
      throw keys.wrong(
          "the encoding " + encoding + " of rows is not supported; supported is " + ROW264);
    }
    boolean row264 = !encoding.isEmpty();
    List<Integer> layers = keys.layers(model.integer("block_count"), "layer_ids", "layers");
    EngramConfig.Builder builder =
        EngramConfig.builder()
            .family("DeepSeek-V4.1")
            .hiddenSize(model.integer("embedding_length"))
            .branches(model.integer("hyper_connection.count"))
            .normEps(model.number("attention.layer_norm_rms_epsilon"))
            .streamType(Dtype.BF16)
            .layerIds(layers);
    TokenMap map = map(keys, mapFile);
    Shape shape = row264 ? row264(keys, layers.size()) : shape(keys);
    builder.heads(shape.heads, shape.width).padTokenId(pad(keys, map));
    List<LayerLayout> layouts = layouts(keys, layers, shape);
    List<Check> checks = new ArrayList<>();
    EngramConfig config;
    if (layouts.isEmpty()) {
      builder.ngrams(shape.maxNgram, START).hashing(RowHashing.NUMPY_DRAW);
      // kept, so that tables may have more rows, as where the file has numbers
      config = builder.layouts(EngramLayout.of(builder.build(), map.distinct())).build();
      checks.add(new Check("hash", true, "computed, since the file has no numbers"));
    } else {
      config = builder.ngrams(shape.maxNgram, starts(layouts.getFirst())).layouts(layouts).build();
      checks.add(
          GgufHash.compare("" + file.file(), config, RowHashing.NUMPY_DRAW, 0, map.distinct()));
    }
    Map<Integer, GgufLayer> found = new LinkedHashMap<>();
    List<LayerLayout> all = EngramLayout.of(config, map.distinct());
    long[] rows = keys.optionalLongs("num_embeddings", "rows", "embedding_counts");
    for (int i = 0; i < layers.size(); i++) {
      TableFile table = table(keys, all.get(i), shape.width, row264);
      if (rows != null && (rows.length != layers.size() || rows[i] != table.rows())) {
        throw keys.wrong(
            "the rows of tables are "
                + Arrays.toString(rows)
                + ", but "
                + table.name()
                + " has "
                + table.rows());
      }
      found.put(layers.get(i), layer(keys, config, layers.get(i), table));
    }
    String dialect = row264 ? "ds4" : "llama.cpp";
    return new Described(dialect, config, map, found, checks);
  }

  /** What the shape of all layers is. */
  private record Shape(int maxNgram, int heads, int width) {}

  private static Shape shape(GgufKeys keys) throws IOException {
    Shape shape =
        new Shape(
            keys.integer("max_ngram_size", "ngram_size"),
            keys.integer("head_count", "n_heads"),
            keys.integer("key_length", "head_dim"));
    if (shape.maxNgram < 2 || shape.maxNgram > 64 || shape.heads < 1 || shape.width < 1) {
      throw keys.wrong(
          "n-grams up to "
              + shape.maxNgram
              + " with "
              + shape.heads
              + " heads of "
              + shape.width
              + " are impossible");
    }
    return shape;
  }

  /** The encoding tells the width; how many heads and shifts there are, only the arrays. */
  private static Shape row264(GgufKeys keys, int layers) throws IOException {
    int multipliers = keys.longs("multipliers", "hash_multipliers").length;
    int primes = keys.longs("primes", "hash_primes", "head_bucket_sizes").length;
    int shifts = multipliers / layers;
    if (shifts < 2 || multipliers % layers != 0 || primes % (layers * (shifts - 1)) != 0) {
      throw keys.wrong(
          primes + " primes and " + multipliers + " multipliers do not fit " + layers + " layers");
    }
    return new Shape(shifts, primes / layers / (shifts - 1), ROW264_WIDTH);
  }

  private static TokenMap map(GgufKeys keys, @Nullable Path mapFile) throws IOException {
    if (mapFile != null) {
      return EngramDirectory.loadMap(mapFile);
    }
    if (!keys.has("token_map")) {
      throw keys.wrong("no token map in the file; give a tokenizer.json or a map file");
    }
    TokenMap map;
    try {
      map = TokenMap.of(keys.integers("token_map"));
    } catch (IllegalArgumentException e) {
      throw keys.wrong("engram.token_map: " + e.getMessage());
    }
    int compressed = keys.optional("compressed_vocab_size").orElse(map.distinct());
    if (compressed != map.distinct()) {
      throw keys.wrong(
          "compressed_vocab_size is " + compressed + ", but token_map has " + map.distinct());
    }
    return map;
  }

  /** The file has the mapped id; any raw one that maps to it does. */
  private static int pad(GgufKeys keys, TokenMap map) throws IOException {
    String[] names = {"pad_id", "pad_token_id", "pad_id_compressed"};
    if (!keys.has(names) && PAD < map.size()) {
      return PAD; // the family's own, of files from before the key
    }
    int mapped = keys.integer(names);
    for (int raw = mapped; raw >= 0 && raw < map.size(); raw++) { // ids are mapped to lower ones
      if (map.get(raw) == mapped) {
        return raw;
      }
    }
    throw keys.wrong("the pad id is " + mapped + ", which no token has among " + map.distinct());
  }

  private static List<LayerLayout> layouts(GgufKeys keys, List<Integer> layers, Shape shape)
      throws IOException {
    if (!keys.has("primes", "hash_primes", "head_bucket_sizes")) {
      return List.of();
    }
    int columns = Math.multiplyExact(shape.maxNgram - 1, shape.heads);
    int all = Math.multiplyExact(layers.size(), columns);
    long[] primes = keys.longs(all, "primes", "hash_primes", "head_bucket_sizes");
    long[] multipliers =
        keys.longs(layers.size() * shape.maxNgram, "multipliers", "hash_multipliers");
    String[] names = {"offsets", "hash_offsets", "head_offsets"};
    long[] offsets = keys.has(names) ? keys.longs(all, names) : null;
    List<LayerLayout> layouts = new ArrayList<>();
    for (int i = 0; i < layers.size(); i++) {
      long[] sizes = Arrays.copyOfRange(primes, i * columns, (i + 1) * columns);
      layouts.add(
          LayerLayout.of(
              layers.get(i),
              shape.maxNgram,
              shape.heads,
              sizes,
              offsets == null
                  ? running(sizes)
                  : Arrays.copyOfRange(offsets, i * columns, (i + 1) * columns),
              Arrays.copyOfRange(multipliers, i * shape.maxNgram, (i + 1) * shape.maxNgram)));
    }
    return layouts;
  }

  private static long[] running(long[] sizes) {
    long[] offsets = new long[sizes.length];
    for (int i = 1; i < sizes.length; i++) {
      offsets[i] = offsets[i - 1] + sizes[i - 1];
    }
    return offsets;
  }

  /** Where the search for primes of each order must have begun at the latest. */
  private static List<Long> starts(LayerLayout layout) {
    List<Long> starts = new ArrayList<>();
    for (int column = 0; column < layout.columns(); column += layout.headsPerNgram()) {
      starts.add(layout.prime(column));
    }
    return starts;
  }

  private static TableFile table(GgufKeys keys, LayerLayout layout, int width, boolean row264)
      throws IOException {
    String block = "blk." + layout.layerId() + ".";
    GgufTensor tensor = keys.tensor(block + "engram_embd.weight", block + "engram_embed.weight");
    if (row264) {
      long stride = RowType.F8_E4M3.rowBytes(width);
      keys.requireTable(tensor, stride, layout, tensor.type() == GgmlType.I8);
      return TableFile.interleaved(
          tensor.name(), RowType.F8_E4M3, tensor.rows(), width, 1, tensor.file(), tensor.offset());
    }
    RowType type = GgufLayer.rowType(tensor);
    keys.requireTable(tensor, width, layout, true);
    return TableFile.interleaved(
        tensor.name(), type, tensor.rows(), width, 1, tensor.file(), tensor.offset());
  }

  private static GgufLayer layer(GgufKeys keys, EngramConfig config, int id, TableFile table)
      throws IOException {
    String block = "blk." + id + ".engram_";
    return new GgufLayer(
        config,
        table,
        List.of(keys.tensor(block + "wkv.weight", block + "kv.weight")),
        new GgufLayer.Gate(
            keys.tensor(block + "q.weight", block + "q_norm.weight"),
            keys.tensor(block + "k.weight", block + "k_norm.weight"),
            ZeroRule.COPYSIGN),
        null);
  }
}
