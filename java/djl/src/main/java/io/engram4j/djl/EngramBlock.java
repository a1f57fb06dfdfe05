package io.engram4j.djl;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.nn.AbstractBlock;
import ai.djl.training.ParameterStore;
import ai.djl.util.PairList;
import io.engram4j.EngramBatch;
import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.model.Dtype;
import io.engram4j.model.HiddenStream;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * An Engram layer as a block of DJL, for the start of a model's layer or for a {@code Translator}.
 *
 * <p>Inputs are
 *
 * <ol>
 *   <li>token ids, INT32 or INT64 [batch, length]: all of each sequence's tokens, or at least those
 *       of the hidden states and the {@code maxNgram - 1} before them;
 *   <li>hidden states, FLOAT32 or FLOAT16 [batch, tokens, branches, hidden size], or without the
 *       branches where the model has one: those of each sequence's last {@code tokens} tokens.
 * </ol>
 *
 * <p>The output is the hidden states with memory added; the input stays as it was. Nothing is kept
 * from call to call, so decoding with a key-value cache passes the hidden states of one token, and
 * taking back is passing fewer ids. The paper's convolution looks back on hidden states, so with it
 * {@code tokens} is {@code length}. There are no parameters and no gradients: it is for inference;
 * {@link TrainableEngram} learns.
 *
 * <p>Hidden states are copied, as DJL's arrays are not shared; the result belongs to their manager.
 * Tested with PyTorch on the CPU. Thread-safe. The Engram model stays the caller's.
 */
public final class EngramBlock extends AbstractBlock {
  private final EngramModel model;
  private final EngramLayer layer;

  /**
   * Makes a block of a model's layer.
   *
   * @throws java.util.NoSuchElementException if that layer has no Engram
   */
  public EngramBlock(EngramModel model, int layerId) {
    this.model = model;
    this.layer = model.layer(layerId);
    this.inputNames = List.of("ids", "hidden");
  }

  @Override
  protected NDList forwardInternal(
      ParameterStore store,
      NDList inputs,
      boolean training,
      @Nullable PairList<String, Object> parameters) {
    if (training) {
      throw new UnsupportedOperationException(
          "Engram has no gradients here; it is for inference, and TrainableEngram learns");
    }
    requireTwo(inputs.size());
    NDArray ids = inputs.get(0);
    NDArray hidden = inputs.get(1);
    requireTypes(ids.getDataType(), hidden.getDataType());
    check(ids.getShape(), hidden.getShape());
    try (NDManager own = hidden.getManager().newSubManager()) {
      // of a manager's, so that an array may lie in it
      ByteBuffer data = own.allocateDirect(bytes(hidden));
      NDArray wide = hidden.toType(DataType.FLOAT32, true); // exact
      wide.attach(own);
      data.put(wide.toByteBuffer()).rewind();
      layer.apply(batch(ids, Math.toIntExact(hidden.getShape().get(1))), stream(data));
      NDArray updated = own.create(data, hidden.getShape(), DataType.FLOAT32);
      NDArray result = updated.toType(hidden.getDataType(), true);
      result.attach(hidden.getManager());
      return new NDList(result);
    }
  }

  private static int bytes(NDArray hidden) {
    long bytes = hidden.size() * Float.BYTES;
    if (bytes > Integer.MAX_VALUE) {
      throw new IllegalArgumentException(
          "hidden states "
              + hidden.getShape()
              + " take "
              + bytes
              + " bytes in float32, but a buffer of DJL's ends at "
              + Integer.MAX_VALUE);
    }
    return (int) bytes;
  }

  private HiddenStream stream(ByteBuffer data) {
    return HiddenStream.of(
        MemorySegment.ofBuffer(data),
        Dtype.F32,
        model.config().branches(),
        model.config().hiddenSize());
  }

  private EngramBatch batch(NDArray ids, int tokens) {
    int length = Math.toIntExact(ids.getShape().get(1));
    boolean whole = layer.weights().conv() != null;
    if (whole && tokens != length) {
      throw new IllegalArgumentException(
          "a convolution looks back on hidden states, but there are those of "
              + tokens
              + " tokens of "
              + length);
    }
    // what lies further back does not reach the hash
    int from = Math.max(0, length - tokens - model.config().maxNgram() + 1);
    int[] all = ints(ids);
    EngramBatch batch = model.newBatch();
    for (int row = 0; row < ids.getShape().get(0); row++) {
      EngramSequence sequence = model.newSequence();
      sequence.append(all, row * length + from, length - from);
      batch.add(sequence, length - from - tokens, tokens);
    }
    return batch;
  }

  private static int[] ints(NDArray ids) {
    if (ids.getDataType() == DataType.INT32) {
      return ids.toIntArray();
    }
    return Arrays.stream(ids.toLongArray()).mapToInt(Math::toIntExact).toArray();
  }

  private static void requireTypes(DataType ids, DataType hidden) {
    if (ids != DataType.INT32 && ids != DataType.INT64) {
      throw new IllegalArgumentException("token ids are INT32 or INT64, not " + ids);
    }
    if (hidden != DataType.FLOAT32 && hidden != DataType.FLOAT16) {
      throw new IllegalArgumentException("hidden states are FLOAT32 or FLOAT16, not " + hidden);
    }
  }

  private static void requireTwo(int inputs) {
    if (inputs != 2) {
      throw new IllegalArgumentException(
          "an Engram block takes 2 inputs, token ids and hidden states, not " + inputs);
    }
  }

  private void check(Shape ids, Shape hidden) {
    int branches = model.config().branches();
    int width = model.config().hiddenSize();
    boolean flat = branches == 1 && hidden.dimension() == 3;
    if (ids.dimension() != 2
        || !(flat || (hidden.dimension() == 4 && hidden.get(2) == branches))
        || hidden.get(hidden.dimension() - 1) != width) {
      throw new IllegalArgumentException(
          "ids are [batch, length] and hidden states [batch, tokens, "
              + branches
              + ", "
              + width
              + "], not "
              + ids
              + " and "
              + hidden);
    }
    if (ids.get(0) != hidden.get(0) || ids.get(1) < hidden.get(1)) {
      throw new IllegalArgumentException(
          "there are hidden states "
              + hidden
              + " for token ids "
              + ids
              + ": batches must be equal and every hidden state needs its token's id");
    }
  }

  @Override
  public Shape[] getOutputShapes(Shape[] inputShapes) {
    requireTwo(inputShapes.length);
    check(inputShapes[0], inputShapes[1]);
    return new Shape[] {inputShapes[1]};
  }
}
