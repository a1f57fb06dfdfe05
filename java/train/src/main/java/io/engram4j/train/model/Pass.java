package io.engram4j.train.model;

import io.engram4j.train.kernel.Gemm;
import io.engram4j.train.table.StepGradients;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * One thread's memory for computing batches with a decoder, forward and back. For one thread at a
 * time.
 */
public final class Pass {
  private final Decoder decoder;
  private final int most;
  private final List<Connection> connections = new ArrayList<>();
  private final List<EngramBlock> engram = new ArrayList<>();
  private final Head head;
  private final float[] streams;
  private final double[] losses;

  Pass(Decoder decoder, int tokens) {
    this.decoder = decoder;
    this.most = tokens;
    DecoderShape shape = decoder.shape();
    float[] parameters = decoder.parameters().values();
    DecoderTensors tensors = decoder.tensors();
    Gemm gemm = new Gemm();
    Scratch scratch = Scratch.of(shape, tokens);
    for (DecoderTensors.LayerAt at : tensors.layers()) {
      Block attention = new Attention(shape, parameters, at.attention(), gemm, scratch);
      connections.add(new Connection(shape, parameters, at.aroundAttention(), attention, scratch));
      Block feedForward = new FeedForward(shape, parameters, at.feedForward(), gemm, scratch);
      connections.add(
          new Connection(shape, parameters, at.aroundFeedForward(), feedForward, scratch));
    }
    EngramMemory memory = decoder.memory();
    for (int i = 0; i < decoder.hashes().size(); i++) {
      engram.add(
          new EngramBlock(
              memory.config(),
              memory.form(),
              parameters,
              tensors.engram().get(i),
              decoder.hashes().get(i),
              decoder.owners().rows().get(i),
              gemm,
              tokens));
    }
    this.head = new Head(shape, parameters, tensors.embedding(), tensors.norm(), gemm, tokens);
    this.streams = new float[tokens * shape.streams() * shape.width()];
    this.losses = new double[tokens];
  }

  /**
   * Computes the losses of a batch.
   *
   * @return the sum over its targets, in nats
   * @throws IllegalArgumentException if the batch is larger than this, or longer than the context
   * @throws IndexOutOfBoundsException if an id is not in the vocabulary
   */
  public double forward(Batch batch) {
    logits(batch);
    return head.loss(batch, losses);
  }

  /** Is shown the streams, while a batch is computed. */
  public interface Watcher {
    /**
     * Behind a layer.
     *
     * @param layer from 0
     * @param streams [tokens, streams, width], not to be changed
     */
    void layer(int layer, float[] streams);
  }

  /** Computes and returns the logits of a batch, [tokens, vocabulary], in memory of this pass. */
  public float[] logits(Batch batch) {
    return logits(batch, (layer, all) -> {});
  }

  /** Likewise, and shows the streams behind each layer. */
  public float[] logits(Batch batch, Watcher watcher) {
    require(batch);
    embed(batch);
    for (int layer = 0; layer < decoder.shape().layers(); layer++) {
      for (EngramBlock block : engram) {
        if (block.layerId() == layer) {
          block.forward(streams, batch);
        }
      }
      connections.get(2 * layer).forward(streams, batch);
      connections.get(2 * layer + 1).forward(streams, batch);
      watcher.layer(layer, streams);
    }
    return head(streams, batch.tokens());
  }

  /**
   * Returns what the head makes of streams, as if no layer followed: [tokens, vocabulary], in
   * memory of this pass.
   */
  public float[] head(float[] someStreams, int tokens) {
    head.forward(someStreams, tokens);
    return head.logits();
  }

  private void require(Batch batch) {
    if (batch.tokens() > most || batch.length() > decoder.shape().context()) {
      throw new IllegalArgumentException(
          "a batch of "
              + batch.tokens()
              + " tokens in sequences of "
              + batch.length()
              + " for a pass of "
              + most
              + " and a context of "
              + decoder.shape().context());
    }
    decoder.require(batch);
  }

  private void embed(Batch batch) {
    int width = decoder.shape().width();
    int count = decoder.shape().streams();
    float[] parameters = decoder.parameters().values();
    for (int token = 0; token < batch.tokens(); token++) {
      int from = decoder.tensors().embedding() + batch.ids()[token] * width;
      for (int h = 0; h < count; h++) {
        System.arraycopy(parameters, from, streams, (token * count + h) * width, width);
      }
    }
  }

  /** Returns the loss of each token of the last batch, in nats; not copied. */
  public double[] losses() {
    return losses;
  }

  /** Returns the probabilities of the last batch, [tokens, vocabulary]; not copied. */
  public float[] probabilities() {
    return head.logits();
  }

  /** Returns the gates of the last batch, [tokens, branches], of an Engram layer; not copied. */
  public float[] gates(int engramLayer) {
    return engram.get(engramLayer).gates();
  }

  /**
   * Takes the gradient of the last {@link #forward} back.
   *
   * @param scale of each target's loss
   * @param gradients of all dense parameters, added to
   * @param rows of each Engram layer take the rows' gradients
   * @param first place of the batch's first token in them
   */
  public void backward(
      Batch batch, float scale, float[] gradients, List<StepGradients> rows, int first) {
    float[] dx = streams; // what they held is kept by those who need it
    head.backward(batch, scale, dx, gradients);
    for (int layer = decoder.shape().layers() - 1; layer >= 0; layer--) {
      connections.get(2 * layer + 1).backward(dx, batch, gradients);
      connections.get(2 * layer).backward(dx, batch, gradients);
      for (int i = engram.size() - 1; i >= 0; i--) {
        if (engram.get(i).layerId() == layer) {
          engram.get(i).backward(dx, batch, gradients, rows.get(i), first);
        }
      }
    }
    embedBack(batch, dx, gradients);
  }

  private void embedBack(Batch batch, float[] dx, float[] gradients) {
    int width = decoder.shape().width();
    int count = decoder.shape().streams();
    for (int token = 0; token < batch.tokens(); token++) {
      int to = decoder.tensors().embedding() + batch.ids()[token] * width;
      for (int h = 0; h < count; h++) {
        int from = (token * count + h) * width;
        for (int i = 0; i < width; i++) {
          gradients[to + i] += dx[from + i];
        }
      }
    }
  }

  /** Zeros gradients, as they must be before the first batch. */
  public static void clear(float[] gradients) {
    Arrays.fill(gradients, 0f);
  }
}
