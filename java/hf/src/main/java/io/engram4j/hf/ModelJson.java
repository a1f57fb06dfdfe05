package io.engram4j.hf;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.engram4j.model.EngramConfig;
import java.io.UncheckedIOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The JSON of model directories that are written: what {@link EngramDirectory} reads. */
public final class ModelJson {
  private ModelJson() {}

  /**
   * Returns the fields of DeepSeek-V4.1's configuration, a JSON object.
   *
   * @param rows of each layer's table
   */
  public static String deepSeekV41(EngramConfig config, List<Long> rows) {
    Map<String, Object> fields = new LinkedHashMap<>();
    fields.put("model_type", "deepseek_v41_text");
    fields.put("hidden_size", config.hiddenSize());
    fields.put("hc_mult", config.branches());
    fields.put("rms_norm_eps", config.normEps());
    fields.put("engram_layer_ids", config.layerIds());
    fields.put("engram_num_embeddings", rows);
    fields.put("engram_max_ngram_size", config.maxNgram());
    fields.put("engram_vocab_size", config.vocabSizes());
    fields.put("engram_n_heads", config.headsPerNgram());
    fields.put("engram_head_dim", config.headDim());
    fields.put("engram_seed", config.seed());
    config.imageTokenId().ifPresent(id -> fields.put("image_token_id", id));
    config.compressedSize().ifPresent(size -> fields.put("engram_compressed_vocab_size", size));
    fields.put("engram_pad_token_id", config.padTokenId());
    return text(fields);
  }

  /** Returns the fields of the paper's demo, a JSON object. */
  public static String paper(EngramConfig config) {
    Map<String, Object> fields = new LinkedHashMap<>();
    fields.put("hidden_size", config.hiddenSize());
    fields.put("hc_mult", config.branches());
    fields.put("layer_ids", config.layerIds());
    fields.put("max_ngram_size", config.maxNgram());
    fields.put("engram_vocab_size", config.vocabSizes());
    fields.put("n_head_per_ngram", config.headsPerNgram());
    fields.put("n_embed_per_ngram", config.headsPerNgram() * config.headDim());
    fields.put("seed", config.seed());
    fields.put("pad_id", config.padTokenId());
    fields.put("kernel_size", config.convKernel());
    config.compressedSize().ifPresent(size -> fields.put("engram_compressed_vocab_size", size));
    return text(fields);
  }

  /** Returns the text of a model.safetensors.index.json. */
  public static String index(Map<String, String> fileOfTensor) {
    return text(Map.of("weight_map", fileOfTensor));
  }

  private static String text(Map<String, ?> fields) {
    try {
      return new ObjectMapper().writerWithDefaultPrettyPrinter().writeValueAsString(fields);
    } catch (JsonProcessingException e) {
      throw new UncheckedIOException(e);
    }
  }
}
