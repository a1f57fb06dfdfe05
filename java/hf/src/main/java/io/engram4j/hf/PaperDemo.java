package io.engram4j.hf;

import io.engram4j.model.Dtype;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.RowHashing;
import io.engram4j.table.Table;
import io.engram4j.weights.ConvWeights;
import io.engram4j.weights.GateWeights;
import io.engram4j.weights.GateWeights.ZeroRule;
import io.engram4j.weights.LayerWeights;
import io.engram4j.weights.Linear;
import io.engram4j.weights.Projection;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;

/**
 * The paper's demo: a projection with bias per branch, RMSNorm weights, a short convolution
 * (docs/spec.md, sections 1.1 and 7.1).
 */
final class PaperDemo implements Checkpoint {
  private static final double FLOAT_EPS = 0x1p-23; // what torch's RMSNorm takes where none is given
  private static final double CONV_EPS = 1e-5;

  @Override
  public String family() {
    return "paper";
  }

  @Override
  public List<String> marks() {
    return List.of("layer_ids", "n_head_per_ngram");
  }

  @Override
  public EngramConfig config(ConfigFields fields) throws IOException {
    int maxNgram = fields.integer("max_ngram_size");
    int heads = fields.integer("n_head_per_ngram");
    int perNgram = fields.integer("n_embed_per_ngram");
    if (heads < 1 || perNgram % heads != 0) {
      throw fields.wrong(
          "n_embed_per_ngram " + perNgram + " does not divide by n_head_per_ngram " + heads);
    }
    return EngramConfig.builder()
        .family(family())
        .hiddenSize(fields.integer("hidden_size"))
        .branches(fields.integer("hc_mult"))
        .layerIds(fields.integers("layer_ids"))
        .ngrams(maxNgram, fields.vocabSizes("engram_vocab_size", maxNgram))
        .heads(heads, perNgram / heads)
        .padTokenId(fields.integer("pad_id"))
        .seed(fields.wholeNumber("seed", 0))
        .hashing(RowHashing.NUMPY_DRAW)
        .normEps(FLOAT_EPS)
        .conv(fields.integer("kernel_size"), maxNgram)
        .streamType(Dtype.F32)
        .compressedSize(fields.optionalInteger("engram_compressed_vocab_size"))
        .build();
  }

  @Override
  public void findRows(FoundTensors found, RowTensors rows, long wanted) {
    rows.find(new ScaledName("multi_head_embedding.embedding.weight", null), null, wanted);
  }

  private static ScaledName weight(String part) {
    return new ScaledName(part + ".weight", null);
  }

  @Override
  public List<WantedTensor> tensors(EngramConfig config) {
    int size = config.hiddenSize();
    List<WantedTensor> tensors = new ArrayList<>();
    for (int branch = 0; branch < config.branches(); branch++) {
      tensors.add(WantedTensor.weight(weight("key_projs." + branch), size, config.rowWidth()));
      tensors.add(WantedTensor.floats("key_projs." + branch + ".bias", size));
      tensors.add(WantedTensor.floats("norm1." + branch + ".weight", size));
      tensors.add(WantedTensor.floats("norm2." + branch + ".weight", size));
      if (config.convKernel() > 0) {
        tensors.add(WantedTensor.floats("short_conv.norms." + branch + ".weight", size));
      }
    }
    tensors.add(WantedTensor.weight(weight("value_proj"), size, config.rowWidth()));
    tensors.add(WantedTensor.floats("value_proj.bias", size));
    if (config.convKernel() > 0) {
      tensors.add(
          WantedTensor.floats(
              "short_conv.conv.weight", config.streamWidth(), 1, config.convKernel()));
    }
    return tensors;
  }

  @Override
  public LayerWeights weights(EngramConfig config, FoundTensors found, Table table, Arena arena)
      throws IOException {
    List<Linear> parts = new ArrayList<>();
    for (int branch = 0; branch < config.branches(); branch++) {
      String part = "key_projs." + branch;
      parts.add(found.linear(weight(part), part + ".bias", arena));
    }
    parts.add(found.linear(weight("value_proj"), "value_proj.bias", arena));
    GateWeights gate =
        new GateWeights(
            config.branches(),
            config.hiddenSize(),
            perBranch(config, found, "norm2"),
            perBranch(config, found, "norm1"),
            config.normEps(),
            ZeroRule.SIGNUM);
    ConvWeights conv =
        config.convKernel() == 0
            ? null
            : new ConvWeights(
                config.branches(),
                config.hiddenSize(),
                config.convKernel(),
                config.convDilation(),
                found.floats("short_conv.conv.weight"),
                perBranch(config, found, "short_conv.norms"),
                CONV_EPS);
    return new LayerWeights(table, new Projection(parts), gate, conv);
  }

  private static float[] perBranch(EngramConfig config, FoundTensors found, String name)
      throws IOException {
    int size = config.hiddenSize();
    float[] all = new float[config.streamWidth()];
    for (int branch = 0; branch < config.branches(); branch++) {
      float[] own = found.floats(name + "." + branch + ".weight");
      System.arraycopy(own, 0, all, branch * size, size);
    }
    return all;
  }
}
