package io.engram4j.jlama;

import com.github.tjake.jlama.model.AbstractModel;
import com.github.tjake.jlama.model.TransformerBlock;
import com.github.tjake.jlama.model.functions.EmbedInput;
import com.github.tjake.jlama.safetensors.Config;
import com.github.tjake.jlama.safetensors.DType;
import com.github.tjake.jlama.tensor.AbstractTensor;
import com.github.tjake.jlama.tensor.KvBufferCache.KvBuffer;
import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.format.Dtype;
import io.engram4j.gate.HiddenStream;
import java.util.Collections;
import java.util.Map;
import java.util.WeakHashMap;
import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;

/**
 * Where Engram meets a model of Jlama's. Ids are known only where they become embeddings, the
 * session (its key-value buffer) only in the blocks; one thread does both in a step, so the ids
 * wait in between in a variable of the thread.
 */
final class EngramHook {
  private final EngramModel engram;
  private final Map<KvBuffer, EngramSequence> sequences =
      Collections.synchronizedMap(new WeakHashMap<>()); // buffers are equal only to themselves

  @SuppressWarnings("ThreadLocalUsage") // one per model: a thread may run several in turns
  private final ThreadLocal<@Nullable Step> steps = new ThreadLocal<>();

  private volatile boolean enabled = true;
  private volatile @Nullable Executor executor;

  /** Tokens on their way through the blocks; {@code sequence} once the first block knows it. */
  private static final class Step {
    final int[] ids;
    final int position;
    @Nullable EngramSequence sequence;

    Step(int[] ids, int position) {
      this.ids = ids;
      this.position = position;
    }
  }

  EngramHook(EngramModel engram, Config config) {
    this.engram = engram;
    expect("branches", engram.config().branches(), "residual streams", 1);
    expect("hidden size", engram.config().hiddenSize(), "embedding length", config.embeddingLength);
    if (engram.map().size() < config.vocabularySize) {
      throw new IllegalArgumentException(
          "Jlama's model has a vocabulary of "
              + config.vocabularySize
              + ", but Engram's map knows "
              + engram.map().size()
              + " tokens");
    }
    for (EngramLayer layer : engram.layers()) {
      if (layer.id() >= config.numberOfLayers) {
        throw new IllegalArgumentException(
            "Engram has layer "
                + layer.id()
                + ", but Jlama's model has "
                + config.numberOfLayers
                + " layers");
      }
    }
  }

  private static void expect(String what, int ours, String their, int theirs) {
    if (ours != theirs) {
      throw new IllegalArgumentException(
          "Engram's " + what + " is " + ours + ", but Jlama's model has " + their + " " + theirs);
    }
  }

  void setEnabled(boolean value) {
    enabled = value;
  }

  void prefetchOn(Executor value) {
    executor = value;
  }

  /** Wraps what makes embeddings of ids. */
  EmbedInput input(EmbedInput inner) {
    return new EmbedInput() {
      @Override
      public AbstractTensor<?, ?> inputTokenToEmbedding(int id, int position) {
        steps.set(new Step(new int[] {id}, position));
        return inner.inputTokenToEmbedding(id, position);
      }

      @Override
      public AbstractTensor<?, ?> batchInputsToEmbeddings(int[] ids, int position) {
        steps.set(new Step(ids.clone(), position));
        return inner.batchInputsToEmbeddings(ids, position);
      }
    };
  }

  /** Wraps the first block, where a step begins, and those that have Engram. */
  TransformerBlock[] blocks(AbstractModel model, TransformerBlock[] blocks) {
    TransformerBlock[] wrapped = blocks.clone();
    wrapped[0] = new EngramBlock(model, 0, null, this, blocks[0]);
    for (EngramLayer layer : engram.layers()) {
      wrapped[layer.id()] = new EngramBlock(model, layer.id(), layer, this, blocks[layer.id()]);
    }
    return wrapped;
  }

  /** Runs before a block. */
  void before(@Nullable EngramLayer layer, AbstractTensor<?, ?> hidden, KvBuffer buffer) {
    Step step = steps.get();
    if (step == null || step.ids.length != hidden.shape().first()) {
      throw new IllegalStateException(
          "a block was given "
              + hidden.shape().first()
              + " embeddings that were not made of token ids just before; Engram needs the ids");
    }
    EngramSequence sequence = step.sequence;
    if (sequence == null) {
      sequence = advance(step, buffer);
      step.sequence = sequence;
    }
    if (layer != null && enabled) {
      layer.apply(sequence, step.ids.length, stream(hidden));
    }
  }

  /**
   * Appends a step's tokens to their session's, after taking back what lies behind its position.
   */
  private EngramSequence advance(Step step, KvBuffer buffer) {
    EngramSequence sequence = sequences.computeIfAbsent(buffer, ignored -> engram.newSequence());
    if (step.position > sequence.length()) {
      throw new IllegalStateException(
          "the session goes on at position "
              + step.position
              + ", but Engram has seen "
              + sequence.length()
              + " tokens of it; sessions cannot be taken up from a buffer on disk");
    }
    sequence.truncate(step.position);
    sequence.append(step.ids);
    Executor ahead = executor;
    if (ahead != null && enabled) {
      sequence.prefetch(step.ids.length, ahead);
    }
    return sequence;
  }

  private static HiddenStream stream(AbstractTensor<?, ?> hidden) {
    int width = hidden.shape().last();
    Dtype dtype = hidden.dType() == DType.BF16 ? Dtype.BF16 : Dtype.F32;
    if (hidden.dType() != DType.BF16 && hidden.dType() != DType.F32) {
      throw new IllegalArgumentException("hidden states are F32 or BF16, not " + hidden.dType());
    }
    long start = hidden.getMemorySegmentOffset(hidden.getOffset(0, 0));
    return HiddenStream.of(hidden.getMemorySegment().asSlice(start), dtype, 1, width);
  }
}
