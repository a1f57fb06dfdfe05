package io.engram4j.jlama;

import com.github.tjake.jlama.model.AbstractModel;
import com.github.tjake.jlama.model.TransformerBlock;
import com.github.tjake.jlama.model.functions.EmbedInput;
import com.github.tjake.jlama.safetensors.Config;
import com.github.tjake.jlama.tensor.AbstractTensor;
import com.github.tjake.jlama.tensor.KvBufferCache.KvBuffer;
import io.engram4j.EngramBatch;
import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.model.Dtype;
import io.engram4j.model.HiddenStream;
import java.lang.foreign.MemorySegment;
import java.lang.ref.WeakReference;
import java.util.Collections;
import java.util.Map;
import java.util.WeakHashMap;
import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;

/**
 * Where Engram meets a model of Jlama's. Ids are known only where they become embeddings, the
 * session (its key-value buffer) only in the blocks; one thread does both in a step, so the ids
 * wait in between in a variable of the thread. A session is its ids, a thread has a step's memory.
 */
final class EngramHook {
  private final EngramModel engram;
  private final Map<KvBuffer, EngramSequence> sequences =
      Collections.synchronizedMap(new WeakHashMap<>()); // buffers are equal only to themselves

  @SuppressWarnings("ThreadLocalUsage") // one per model: a thread may run several in turns
  private final ThreadLocal<Step> steps;

  private volatile boolean enabled = true;
  private volatile @Nullable Executor executor;

  /** The tokens that a thread has on their way through the blocks. */
  private static final class Step {
    final EngramBatch batch;
    int[] ids = {};
    int position;
    boolean begun = true; // nothing waits for the first block
    @Nullable WeakReference<KvBuffer> buffer;

    Step(EngramBatch batch) {
      this.batch = batch;
    }

    void await(int[] next, int at) {
      ids = next;
      position = at;
      begun = false;
      buffer = null;
    }

    boolean goesOn(KvBuffer other) {
      return buffer != null && buffer.get() == other;
    }
  }

  EngramHook(EngramModel engram, Config config) {
    this.engram = engram;
    this.steps = ThreadLocal.withInitial(() -> new Step(engram.newBatch()));
    expect("branches", engram.config().branches(), "residual streams", 1);
    expect("hidden size", engram.config().hiddenSize(), "embedding length", config.embeddingLength);
    expect("kernel of the convolution", engram.config().convKernel(), "room for one of", 0);
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
        steps.get().await(new int[] {id}, position);
        return inner.inputTokenToEmbedding(id, position);
      }

      @Override
      public AbstractTensor<?, ?> batchInputsToEmbeddings(int[] ids, int position) {
        steps.get().await(ids.clone(), position);
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
  void before(
      int block,
      @Nullable EngramLayer layer,
      AbstractTensor<?, ?> hidden,
      int position,
      KvBuffer buffer) {
    Step step = steps.get();
    int rows = hidden.shape().first();
    boolean known = block == 0 ? !step.begun : step.goesOn(buffer);
    if (!known || step.ids.length != rows || step.position != position) {
      throw new IllegalStateException(
          "block "
              + block
              + " was given "
              + rows
              + " embeddings at position "
              + position
              + " that this thread has not made of token ids just before; Engram needs the ids");
    }
    if (block == 0) {
      advance(step, buffer);
    }
    if (layer != null && enabled) {
      layer.apply(step.batch, stream(hidden));
    }
  }

  /**
   * Appends a step's tokens to their session's, after taking back what lies behind its position.
   */
  private void advance(Step step, KvBuffer buffer) {
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
    step.begun = true;
    step.buffer = new WeakReference<>(buffer);
    step.batch.clear().add(sequence, step.position, step.ids.length);
    Executor ahead = executor;
    if (ahead != null && enabled) {
      step.batch.prefetch(ahead);
    }
  }

  private static HiddenStream stream(AbstractTensor<?, ?> hidden) {
    long start = hidden.getMemorySegmentOffset(hidden.getOffset(0, 0));
    MemorySegment data = hidden.getMemorySegment().asSlice(start);
    return HiddenStream.of(data, Dtype.F32, 1, hidden.shape().last());
  }
}
