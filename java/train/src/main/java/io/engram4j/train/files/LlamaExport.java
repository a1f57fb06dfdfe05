package io.engram4j.train.files;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.engram4j.train.data.Bpe;
import io.engram4j.train.files.EngramExport.Tensor;
import io.engram4j.train.model.Decoder;
import io.engram4j.train.model.DecoderShape;
import io.engram4j.train.model.Parameters;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Writes the dense part of a decoder with one stream as a Llama that Hugging Face's library and
 * Jlama load, float32; Jlama 0.8.4 leaves logits at zero unless the vocabulary is a multiple of
 * 128. Its Engram layers go where {@link EngramExport} is told to; Jlama takes both through {@code
 * EngramJlama}.
 */
public final class LlamaExport {
  private static final double NORM_EPS = 1e-5;
  private static final double ROPE_BASE = 10_000;

  private LlamaExport() {}

  /**
   * Writes config.json, model.safetensors, tokenizer.json and tokenizer_config.json.
   *
   * @param tokenizer copied
   * @throws IOException if a file is in the way or cannot be written
   * @throws IllegalArgumentException if the decoder has several streams, or experts, which a Llama
   *     has not
   */
  public static void write(Decoder decoder, Path tokenizer, Path directory) throws IOException {
    DecoderShape shape = decoder.shape();
    if (shape.streams() != 1) {
      throw new IllegalArgumentException("a Llama has one stream, the decoder " + shape.streams());
    }
    if (shape.experts() > 0) {
      throw new IllegalArgumentException(
          "a Llama has no experts, the decoder " + shape.experts() + " in each layer");
    }
    Files.createDirectories(directory);
    EngramExport.write(directory.resolve(EngramExport.FILE), tensors(decoder));
    Map<String, Object> config = new LinkedHashMap<>();
    config.put("architectures", List.of("LlamaForCausalLM"));
    config.put("model_type", "llama");
    config.put("hidden_size", shape.width());
    config.put("intermediate_size", shape.inner());
    config.put("num_attention_heads", shape.heads());
    config.put("num_key_value_heads", shape.heads());
    config.put("num_hidden_layers", shape.layers());
    config.put("vocab_size", shape.vocabulary());
    config.put("max_position_embeddings", shape.context());
    config.put("rms_norm_eps", NORM_EPS);
    config.put("rope_theta", ROPE_BASE);
    config.put("hidden_act", "silu");
    config.put("tie_word_embeddings", true);
    config.put("bos_token_id", Bpe.BEGIN);
    config.put("eos_token_id", Bpe.END);
    config.put("torch_dtype", "float32");
    ObjectMapper json = new ObjectMapper();
    Files.write(
        directory.resolve("config.json"),
        json.writerWithDefaultPrettyPrinter().writeValueAsBytes(config));
    Files.write(
        directory.resolve("tokenizer_config.json"),
        // "legacy" tells Jlama that the vocabulary is written in the byte-level alphabet
        json.writeValueAsBytes(Map.of("bos_token", "<s>", "eos_token", "</s>", "legacy", true)));
    Files.copy(tokenizer, directory.resolve("tokenizer.json"), StandardCopyOption.REPLACE_EXISTING);
  }

  private static List<Tensor> tensors(Decoder decoder) {
    Parameters parameters = decoder.parameters();
    int width = decoder.shape().width();
    int inner = decoder.shape().inner();
    List<Tensor> tensors = new ArrayList<>();
    tensors.add(whole(parameters, "embed", "model.embed_tokens"));
    for (int layer = 0; layer < decoder.shape().layers(); layer++) {
      String from = "layers." + layer + ".";
      String to = "model.layers." + layer + ".";
      tensors.add(whole(parameters, from + "attn_norm", to + "input_layernorm"));
      int qkv = parameters.tensor(from + "qkv").at();
      String[] parts = {"q_proj", "k_proj", "v_proj"};
      for (int i = 0; i < parts.length; i++) {
        String name = to + "self_attn." + parts[i] + ".weight";
        int at = qkv + i * width * width;
        tensors.add(PaperTensors.floats(parameters, at, name, width, width));
      }
      tensors.add(whole(parameters, from + "attn_out", to + "self_attn.o_proj"));
      tensors.add(whole(parameters, from + "ffn_norm", to + "post_attention_layernorm"));
      int gateUp = parameters.tensor(from + "gate_up").at();
      tensors.add(
          PaperTensors.floats(parameters, gateUp, to + "mlp.gate_proj.weight", inner, width));
      tensors.add(
          PaperTensors.floats(
              parameters, gateUp + inner * width, to + "mlp.up_proj.weight", inner, width));
      tensors.add(whole(parameters, from + "down", to + "mlp.down_proj"));
    }
    tensors.add(whole(parameters, "norm", "model.norm"));
    return tensors;
  }

  private static Tensor whole(Parameters parameters, String from, String to) {
    Parameters.Tensor tensor = parameters.tensor(from);
    String name = to + ".weight";
    return tensor.rows() == 1
        ? PaperTensors.floats(parameters, tensor.at(), name, tensor.columns())
        : PaperTensors.floats(parameters, tensor.at(), name, tensor.rows(), tensor.columns());
  }
}
