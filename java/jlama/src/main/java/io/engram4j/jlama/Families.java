package io.engram4j.jlama;

import com.github.tjake.jlama.model.AbstractModel;
import com.github.tjake.jlama.model.AbstractModel.InferenceType;
import com.github.tjake.jlama.model.ModelSupport.ModelType;
import com.github.tjake.jlama.model.TransformerBlock;
import com.github.tjake.jlama.model.functions.EmbedInput;
import com.github.tjake.jlama.model.gemma2.Gemma2Model;
import com.github.tjake.jlama.model.llama.LlamaModel;
import com.github.tjake.jlama.model.mistral.MistralModel;
import com.github.tjake.jlama.model.qwen2.Qwen2Model;
import com.github.tjake.jlama.safetensors.Config;
import com.github.tjake.jlama.safetensors.DType;
import com.github.tjake.jlama.safetensors.WeightLoader;
import com.github.tjake.jlama.safetensors.tokenizer.Tokenizer;
import java.util.EnumSet;
import java.util.Optional;
import java.util.Set;

/**
 * Jlama's families with a hook where tokens become embeddings and one before each block. Jlama
 * loads both from within its constructors, so the hook is there before them.
 */
final class Families {
  private Families() {}

  /** What Jlama's constructors take. */
  record Parts(Config config, WeightLoader weights, Tokenizer tokenizer, DType quantized) {}

  private static final Set<ModelType> KNOWN =
      EnumSet.of(ModelType.LLAMA, ModelType.MISTRAL, ModelType.QWEN2, ModelType.GEMMA2);

  /** Refuses a family before any of its files is mapped. */
  static void require(ModelType family) {
    if (!KNOWN.contains(family)) {
      throw new IllegalArgumentException(
          "Engram goes into Jlama's families " + KNOWN + ", not into " + family);
    }
  }

  static AbstractModel load(ModelType family, EngramHook hook, Parts parts) {
    return switch (family) {
      case LLAMA -> new Llama(hook, parts);
      case MISTRAL -> new Mistral(hook, parts);
      case QWEN2 -> new Qwen2(hook, parts);
      case GEMMA2 -> new Gemma2(hook, parts);
      default -> throw new IllegalArgumentException(family.toString()); // refused before
    };
  }

  private static final class Llama extends LlamaModel {
    private final EngramHook hook;

    Llama(EngramHook hook, Parts parts) {
      this.hook = hook;
      super(
          InferenceType.FULL_GENERATION,
          parts.config(),
          parts.weights(),
          parts.tokenizer(),
          DType.F32,
          parts.quantized(),
          Optional.empty());
    }

    @Override
    protected EmbedInput loadInputWeights() {
      return hook.input(super.loadInputWeights());
    }

    @Override
    protected TransformerBlock[] loadTransformerBlockWeights() {
      return hook.blocks(this, super.loadTransformerBlockWeights());
    }
  }

  private static final class Mistral extends MistralModel {
    private final EngramHook hook;

    Mistral(EngramHook hook, Parts parts) {
      this.hook = hook;
      super(
          InferenceType.FULL_GENERATION,
          parts.config(),
          parts.weights(),
          parts.tokenizer(),
          DType.F32,
          parts.quantized(),
          Optional.empty());
    }

    @Override
    protected EmbedInput loadInputWeights() {
      return hook.input(super.loadInputWeights());
    }

    @Override
    protected TransformerBlock[] loadTransformerBlockWeights() {
      return hook.blocks(this, super.loadTransformerBlockWeights());
    }
  }

  private static final class Qwen2 extends Qwen2Model {
    private final EngramHook hook;

    Qwen2(EngramHook hook, Parts parts) {
      this.hook = hook;
      super(
          InferenceType.FULL_GENERATION,
          parts.config(),
          parts.weights(),
          parts.tokenizer(),
          DType.F32,
          parts.quantized(),
          Optional.empty());
    }

    @Override
    protected EmbedInput loadInputWeights() {
      return hook.input(super.loadInputWeights());
    }

    @Override
    protected TransformerBlock[] loadTransformerBlockWeights() {
      return hook.blocks(this, super.loadTransformerBlockWeights());
    }
  }

  private static final class Gemma2 extends Gemma2Model {
    private final EngramHook hook;

    Gemma2(EngramHook hook, Parts parts) {
      this.hook = hook;
      super(
          InferenceType.FULL_GENERATION,
          parts.config(),
          parts.weights(),
          parts.tokenizer(),
          DType.F32,
          parts.quantized(),
          Optional.empty());
    }

    @Override
    protected EmbedInput loadInputWeights() {
      return hook.input(super.loadInputWeights());
    }

    @Override
    protected TransformerBlock[] loadTransformerBlockWeights() {
      return hook.blocks(this, super.loadTransformerBlockWeights());
    }
  }
}
