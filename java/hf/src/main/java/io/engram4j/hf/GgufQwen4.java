package io.engram4j.hf;

import io.engram4j.gguf.GgufFile;
import io.engram4j.gguf.GgufTensor;
import io.engram4j.model.Dtype;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.LayerLayout;
import io.engram4j.model.RowHashing;
import io.engram4j.model.TokenMap;
import io.engram4j.table.io.TableFile;
import io.engram4j.weights.GateWeights.ZeroRule;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;

/**
 * Qwen's PLE as llama.cpp writes it: layers counted from 0, one table, norm weights with the 1
 * already added (docs/spec.md, section 10.2).
 */
final class GgufQwen4 implements GgufDialect {
  private static final long SEED = 1234;

  /** Ids that are let through where a file does not tell its vocabulary. */
  private static final int UNKNOWN_VOCABULARY = 1 << 20;

  @Override
  public List<String> architectures() {
    return List.of("qwen4exp");
  }

  @Override
  public Described read(GgufFile file, @Nullable Path mapFile) throws IOException {
    GgufKeys model = new GgufKeys(file, "qwen4exp.");
    GgufKeys keys = new GgufKeys(file, "qwen4exp.ple.");
    if (mapFile != null) {
      throw keys.wrong("Qwen PLE hashes raw ids; " + mapFile + " has no use");
    }
    List<Integer> layers = keys.layers(model.integer("block_count"), "layers");
    if (layers.size() != 1) {
      throw keys.wrong("there is one table for the " + layers.size() + " layers " + layers);
    }
    int maxNgram = keys.integer("ngram_size");
    int heads = keys.integer("heads_per_ngram");
    if (maxNgram < 2 || maxNgram > 64 || heads < 1) {
      throw keys.wrong("n-grams up to " + maxNgram + " with " + heads + " heads are impossible");
    }
    int columns = Math.multiplyExact(maxNgram - 1, heads);
    LayerLayout layout =
        LayerLayout.of(
            layers.getFirst(),
            maxNgram,
            heads,
            keys.longs(columns, "head_vocab_sizes"),
            keys.longs(columns, "head_offsets"),
            keys.longs(maxNgram, "layer_multipliers"));
    int endOfText = keys.integer("eos_token_id");
    OptionalInt vocabulary = vocabulary(file, model, endOfText);
    if (endOfText < 0 || endOfText >= vocabulary.orElse(UNKNOWN_VOCABULARY)) {
      throw keys.wrong("eos_token_id is " + endOfText + ", outside of any vocabulary");
    }
    TokenMap map = TokenMap.identity(vocabulary.orElse(UNKNOWN_VOCABULARY));
    int width = model.integer("embedding_length_per_layer_input");
    GgufTensor table = keys.tensor("per_layer_token_embd.weight");
    keys.requireTable(table, width, layout, true);
    EngramConfig config =
        EngramConfig.builder()
            .family("Qwen PLE")
            .hiddenSize(model.integer("embedding_length"))
            .branches(model.integer("hyper_connection.count"))
            .normEps(model.number("attention.layer_norm_rms_epsilon"))
            .streamType(Dtype.BF16)
            .layerIds(layers)
            .heads(heads, width)
            .ngrams(maxNgram, layout.prime(0))
            .layouts(List.of(layout))
            .padTokenId(endOfText)
            .barrierTokenId(OptionalInt.of(endOfText))
            .conv(keys.integer("conv_kernel"), maxNgram)
            .build();
    List<Check> checks = new ArrayList<>();
    checks.add(
        vocabulary.isPresent()
            ? GgufHash.compare(
                "" + file.file(), config, RowHashing.SPLITMIX64, SEED, vocabulary.getAsInt())
            : new Check("hash", true, "taken from the file, which does not tell its vocabulary"));
    TableFile rows =
        TableFile.interleaved(
            table.name(),
            GgufLayer.rowType(table),
            table.rows(),
            width,
            1,
            table.file(),
            table.offset());
    String block = "blk." + layers.getFirst() + ".ple_";
    GgufLayer layer =
        new GgufLayer(
            config,
            rows,
            List.of(keys.tensor(block + "key.weight"), keys.tensor(block + "value.weight")),
            new GgufLayer.Gate(
                keys.tensor(block + "norm_query.weight"),
                keys.tensor(block + "norm_key.weight"),
                ZeroRule.SIGNUM),
            new GgufLayer.Conv(
                keys.tensor(block + "conv1d.weight"), keys.tensor(block + "norm_conv.weight")));
    return new Described(
        "llama.cpp", config, map, Map.of(layers.getFirst(), layer), List.copyOf(checks));
  }

  /** The embedding's rows, or the tokenizer's tokens. */
  private static OptionalInt vocabulary(GgufFile file, GgufKeys model, int endOfText)
      throws IOException {
    OptionalInt told = model.optional("vocab_size");
    if (told.isPresent()) {
      return told;
    }
    GgufTensor embedding = file.tensors().get("token_embd.weight");
    long size =
        embedding != null ? embedding.rows() : file.count("tokenizer.ggml.tokens").orElse(0);
    return size > endOfText && size < Integer.MAX_VALUE
        ? OptionalInt.of((int) size)
        : OptionalInt.empty();
  }
}
