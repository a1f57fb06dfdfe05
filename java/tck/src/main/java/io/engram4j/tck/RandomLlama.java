package io.engram4j.tck;

import io.engram4j.hf.SafetensorsWriter;
import io.engram4j.hf.SafetensorsWriter.Declaration;
import io.engram4j.model.Dtype;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/**
 * A Llama of random weights as Hugging Face directories have them, float32, with the tokenizer of
 * {@link ByteTokenizer}: for tests of engines that take Engram in.
 *
 * @param hidden width of the residual stream, a multiple of 32
 * @param inner width within the feed-forward layers
 */
public record RandomLlama(int hidden, int layers, int heads, int keyValueHeads, int inner) {
  private static final int CONTEXT = 512;

  /** Writes config.json, tokenizer.json, tokenizer_config.json and model.safetensors. */
  public void write(Path directory) throws IOException {
    Files.writeString(
        directory.resolve("config.json"),
        """
        {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": %d,
         "intermediate_size": %d, "num_attention_heads": %d, "num_key_value_heads": %d,
         "num_hidden_layers": %d, "vocab_size": %d, "max_position_embeddings": %d,
         "rms_norm_eps": 1e-5, "hidden_act": "silu", "rope_theta": 10000.0,
         "bos_token_id": %d, "eos_token_id": %d, "torch_dtype": "float32"}
        """
            .formatted(
                hidden,
                inner,
                heads,
                keyValueHeads,
                layers,
                ByteTokenizer.SIZE,
                CONTEXT,
                ByteTokenizer.BEGIN,
                ByteTokenizer.END));
    Files.writeString(
        directory.resolve("tokenizer_config.json"),
        """
        {"bos_token": "<s>", "eos_token": "</s>", "legacy": true,
         "chat_template": "{% for message in messages %}{{ message['content'] }}{% endfor %}"}
        """);
    ByteTokenizer.write(directory);
    SplittableRandom random = new SplittableRandom(3);
    List<Declaration> tensors = declarations();
    try (SafetensorsWriter writer =
        new SafetensorsWriter(directory.resolve("model.safetensors"), tensors)) {
      for (Declaration tensor : tensors) {
        writer.write(values(tensor, random));
      }
    }
  }

  private List<Declaration> declarations() {
    List<Declaration> all = new ArrayList<>();
    int keyValues = hidden / heads * keyValueHeads;
    all.add(matrix("model.embed_tokens", ByteTokenizer.SIZE, hidden));
    for (int layer = 0; layer < layers; layer++) {
      String base = "model.layers." + layer + ".";
      all.add(norm(base + "input_layernorm"));
      all.add(norm(base + "post_attention_layernorm"));
      all.add(matrix(base + "self_attn.q_proj", hidden, hidden));
      all.add(matrix(base + "self_attn.k_proj", keyValues, hidden));
      all.add(matrix(base + "self_attn.v_proj", keyValues, hidden));
      all.add(matrix(base + "self_attn.o_proj", hidden, hidden));
      all.add(matrix(base + "mlp.gate_proj", inner, hidden));
      all.add(matrix(base + "mlp.up_proj", inner, hidden));
      all.add(matrix(base + "mlp.down_proj", hidden, inner));
    }
    all.add(norm("model.norm"));
    all.add(matrix("lm_head", ByteTokenizer.SIZE, hidden));
    return all;
  }

  private static Declaration matrix(String name, long outputs, long inputs) {
    return Declaration.of(name + ".weight", Dtype.F32, outputs, inputs);
  }

  private Declaration norm(String name) {
    return Declaration.of(name + ".weight", Dtype.F32, hidden);
  }

  private static ByteBuffer values(Declaration tensor, SplittableRandom random) {
    ByteBuffer bytes =
        ByteBuffer.allocate(Math.toIntExact(tensor.bytes())).order(ByteOrder.LITTLE_ENDIAN);
    boolean norm = tensor.shape().size() == 1;
    double size = norm ? 0.1 : 1 / Math.sqrt(tensor.shape().getLast());
    while (bytes.hasRemaining()) {
      bytes.putFloat((float) ((norm ? 1 : 0) + size * random.nextGaussian()));
    }
    return bytes.flip();
  }
}
