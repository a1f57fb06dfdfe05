package io.engram4j.hf;

import io.engram4j.model.Dtype;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.EngramLayout;
import io.engram4j.model.LayerLayout;
import io.engram4j.model.RowHashing;
import io.engram4j.table.Table;
import io.engram4j.weights.ConvWeights;
import io.engram4j.weights.GateWeights;
import io.engram4j.weights.GateWeights.ZeroRule;
import io.engram4j.weights.LayerWeights;
import io.engram4j.weights.Projection;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import java.util.NavigableMap;
import java.util.OptionalInt;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Qwen's per-layer embedding, in Qwen3.8-Flash-Next: raw ids, a table in shards, two projections, a
 * short convolution (docs/spec.md, section 9).
 */
final class QwenPle implements Checkpoint {
  private static final int SEED = 1234;
  private static final int SIZE_BASE = 20_000_000;
  private static final int DIVISOR = 128;
  private static final String TABLE = "ple_embedding.ngram_embedding.";
  private static final Pattern SHARD =
      Pattern.compile("ple_embedding\\.ngram_embedding\\.shards?[_.](\\d{1,9})\\.weight");
  private static final ScaledName KEY = new ScaledName("key_proj.weight", null);
  private static final ScaledName VALUE = new ScaledName("value_proj.weight", null);

  @Override
  public String family() {
    return "Qwen PLE";
  }

  @Override
  public List<String> marks() {
    return List.of("ple_layer_ids");
  }

  @Override
  public EngramConfig config(ConfigFields fields) throws IOException {
    int hidden = fields.integer("hidden_size");
    int maxNgram = fields.integer("ngram_size", 3);
    int heads = fields.integer("heads_per_ngram", 8);
    int width = fields.integer("ple_embed_dim", hidden);
    long columns = (maxNgram - 1L) * heads;
    if (columns < 1 || width % columns != 0) {
      throw fields.wrong("ple_embed_dim " + width + " does not divide by " + columns + " heads");
    }
    long divisor = fields.integer("make_ngram_vocab_size_divisible_by", DIVISOR);
    if (divisor < 1) {
      throw fields.wrong("make_ngram_vocab_size_divisible_by is " + divisor + ", not positive");
    }
    List<Integer> layers = layers(fields);
    int endOfText = fields.firstInteger("eos_token_id");
    EngramConfig.Builder config =
        EngramConfig.builder()
            .family(family())
            .hiddenSize(hidden)
            .branches(fields.integer("hc_count"))
            .layerIds(layers)
            .ngrams(maxNgram, fields.wholeNumber("ngram_vocab_size_base", SIZE_BASE))
            .heads(heads, Math.toIntExact(width / columns))
            .padTokenId(endOfText)
            .barrierTokenId(OptionalInt.of(endOfText))
            .seed(fields.wholeNumber("seed", SEED))
            .hashing(RowHashing.SPLITMIX64)
            .normEps(fields.number("rms_norm_eps", 1e-6))
            .conv(fields.integer("ple_conv_kernel_size", 4), maxNgram)
            .streamType(Dtype.BF16)
            .compressedSize(OptionalInt.of(fields.integer("vocab_size")));
    return config.tableRows(padded(config.build(), divisor)).build();
  }

  /** They are counted from 1 in the file. */
  private static List<Integer> layers(ConfigFields fields) throws IOException {
    TreeSet<Integer> sorted = new TreeSet<>();
    for (int id : fields.integers("ple_layer_ids")) {
      if (id < 1) {
        throw fields.wrong("ple_layer_ids has " + id + ", but layers are counted from 1 there");
      }
      sorted.add(id - 1);
    }
    return List.copyOf(sorted);
  }

  private static List<Long> padded(EngramConfig config, long divisor) {
    return EngramLayout.primes(config).stream()
        .map(primes -> (Arrays.stream(primes).sum() + divisor - 1) / divisor * divisor)
        .toList();
  }

  @Override
  public boolean hashesRawIds() {
    return true;
  }

  @Override
  public boolean padsTables() {
    return true;
  }

  @Override
  public String prefix(int layerId) {
    return "layers." + layerId + ".ple.";
  }

  /** By number, not by name: shard_10 comes behind shard_9. */
  @Override
  public void findRows(FoundTensors found, RowTensors rows, long wanted) {
    NavigableMap<Integer, String> shards = new TreeMap<>();
    for (String name : found.names(TABLE)) {
      Matcher matcher = SHARD.matcher(name);
      if (matcher.matches()) {
        String other = shards.put(Integer.parseInt(matcher.group(1)), name);
        if (other != null) {
          found.problem(name + " and " + other + " have the same number");
        }
      }
    }
    if (shards.isEmpty()) {
      found.problem(TABLE + "shard_0.weight is in no shard of the index");
      return;
    }
    int next = 0;
    for (int number : shards.keySet()) {
      if (number != next++) {
        found.problem(
            TABLE
                + "shard_"
                + (next - 1)
                + ".weight is missing, though there is one of "
                + shards.lastKey());
        return;
      }
    }
    for (String name : shards.values()) {
      rows.find(new ScaledName(name, null), TABLE + "weight_scale", -1);
    }
    if (found.problems().isEmpty() && wanted >= 0 && rows.rows() != wanted) {
      found.problem(
          TABLE
              + "shard_0 to "
              + shards.lastKey()
              + " have "
              + rows.rows()
              + " rows, but the configuration gives "
              + wanted);
    }
  }

  @Override
  public List<WantedTensor> tensors(EngramConfig config) {
    long width = config.streamWidth();
    return List.of(
        WantedTensor.weight(KEY, width, config.rowWidth()),
        WantedTensor.weight(VALUE, config.hiddenSize(), config.rowWidth()),
        WantedTensor.floats("norm_key.weight", width),
        WantedTensor.floats("norm_query.weight", width),
        WantedTensor.floats("norm_conv.weight", width),
        WantedTensor.floats("conv1d.weight", width, 1, config.convKernel()),
        WantedTensor.integers("ple_embedding.layer_multipliers", config.maxNgram()),
        WantedTensor.integers("ple_embedding.ngram_heads_vocab_sizes", config.columns()),
        WantedTensor.integers("ple_embedding.ngram_heads_offsets", config.columns()));
  }

  /** Another seed would hash every n-gram to a row of another. */
  @Override
  public void check(FoundTensors found, EngramConfig config, LayerLayout computed) {
    try {
      LayerLayout file =
          LayerLayout.of(
              computed.layerId(),
              config.maxNgram(),
              config.headsPerNgram(),
              found.longs("ple_embedding.ngram_heads_vocab_sizes"),
              found.longs("ple_embedding.ngram_heads_offsets"),
              found.longs("ple_embedding.layer_multipliers"));
      if (!file.sameNumbers(computed)) {
        found.problem("ple_embedding has " + file + ", but the configuration gives " + computed);
      }
    } catch (IOException | IllegalArgumentException e) {
      found.problem(String.valueOf(e.getMessage()));
    }
  }

  @Override
  public LayerWeights weights(EngramConfig config, FoundTensors found, Table table, Arena arena)
      throws IOException {
    Projection projection =
        new Projection(List.of(found.linear(KEY, null, arena), found.linear(VALUE, null, arena)));
    GateWeights gate =
        new GateWeights(
            config.branches(),
            config.hiddenSize(),
            plusOne(found.floats("norm_query.weight")),
            plusOne(found.floats("norm_key.weight")),
            config.normEps(),
            ZeroRule.SIGNUM);
    ConvWeights conv =
        new ConvWeights(
            config.branches(),
            config.hiddenSize(),
            config.convKernel(),
            config.convDilation(),
            found.floats("conv1d.weight"),
            plusOne(found.floats("norm_conv.weight")),
            config.normEps());
    return new LayerWeights(table, projection, gate, conv);
  }

  private static float[] plusOne(float[] weights) {
    for (int i = 0; i < weights.length; i++) {
      weights[i] += 1;
    }
    return weights;
  }
}
