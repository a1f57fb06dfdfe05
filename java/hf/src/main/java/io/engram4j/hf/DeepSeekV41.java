package io.engram4j.hf;

import io.engram4j.model.Dtype;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.RowHashing;
import io.engram4j.table.Table;
import io.engram4j.weights.GateWeights;
import io.engram4j.weights.GateWeights.ZeroRule;
import io.engram4j.weights.LayerWeights;
import io.engram4j.weights.Linear;
import io.engram4j.weights.Projection;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.util.List;

/** DeepSeek-V4.1: fp8 rows, one fused projection, no convolution (docs/spec.md, section 1.2). */
final class DeepSeekV41 implements Checkpoint {
  private static final double DEFAULT_EPS = 1e-20;
  private static final ScaledName WKV = new ScaledName("wkv.weight", "wkv.scale");

  @Override
  public String family() {
    return "DeepSeek-V4.1";
  }

  @Override
  public List<String> marks() {
    return List.of("engram_layer_ids");
  }

  @Override
  public EngramConfig config(ConfigFields fields) throws IOException {
    int maxNgram = fields.integer("engram_max_ngram_size");
    return EngramConfig.builder()
        .family(family())
        .hiddenSize(fields.integer(fields.either("hidden_size", "dim")))
        .branches(fields.integer("hc_mult"))
        .layerIds(fields.integers("engram_layer_ids"))
        .ngrams(maxNgram, fields.vocabSizes("engram_vocab_size", maxNgram))
        .heads(fields.integer("engram_n_heads"), fields.integer("engram_head_dim"))
        .padTokenId(fields.integer(fields.either("engram_pad_token_id", "engram_pad_id")))
        .seed(fields.wholeNumber("engram_seed", 0))
        .hashing(RowHashing.NUMPY_DRAW)
        .normEps(fields.number(fields.either("rms_norm_eps", "norm_eps"), DEFAULT_EPS))
        .streamType(Dtype.BF16)
        .imageTokenId(fields.optionalInteger("image_token_id"))
        .compressedSize(fields.optionalInteger("engram_compressed_vocab_size"))
        .tableRows(fields.optionalLongs("engram_num_embeddings"))
        .build();
  }

  @Override
  public void findRows(FoundTensors found, RowTensors rows, long wanted) {
    rows.find(new ScaledName("embed.weight", "embed.scale"), null, wanted);
  }

  @Override
  public List<WantedTensor> tensors(EngramConfig config) {
    return List.of(
        WantedTensor.weight(WKV, config.kvWidth(), config.rowWidth()),
        WantedTensor.floats("q_weight", config.branches(), config.hiddenSize()),
        WantedTensor.floats("k_weight", config.branches(), config.hiddenSize()));
  }

  @Override
  public LayerWeights weights(EngramConfig config, FoundTensors found, Table table, Arena arena)
      throws IOException {
    GateWeights gate =
        new GateWeights(
            config.branches(),
            config.hiddenSize(),
            found.floats("q_weight"),
            found.floats("k_weight"),
            config.normEps(),
            ZeroRule.COPYSIGN);
    Linear wkv = found.linear(WKV, null, arena);
    return new LayerWeights(table, new Projection(List.of(wkv)), gate, null);
  }
}
