package io.engram4j.train.model;

import io.engram4j.model.EngramConfig;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Where a decoder's tensors begin, and what they begin as. */
record DecoderTensors(int embedding, List<LayerAt> layers, List<EngramBlock.At> engram, int norm) {
  /** One layer's. */
  record LayerAt(
      Attention.At attention,
      Connection.At aroundAttention,
      FeedForward.At feedForward,
      Connection.At aroundFeedForward) {}

  private static final double EMBEDDING_DEVIATION = 0.05;

  static DecoderTensors of(DecoderShape shape, EngramMemory memory, Parameters.Builder builder) {
    int width = shape.width();
    int embedding = builder.normal("embed", shape.vocabulary(), width, EMBEDDING_DEVIATION);
    double in = 1 / Math.sqrt(width);
    double depth = Math.sqrt(2.0 * shape.layers()); // what all blocks add stays about one
    List<LayerAt> layers = new ArrayList<>();
    for (int i = 0; i < shape.layers(); i++) {
      String base = "layers." + i + ".";
      int norm = builder.constant(base + "attn_norm", 1, width, 1);
      int qkv = builder.normal(base + "qkv", 3 * width, width, in);
      int out = builder.normal(base + "attn_out", width, width, in / depth);
      Connection.At aroundAttention = connection(shape, base + "attn_", builder);
      int feedNorm = builder.constant(base + "ffn_norm", 1, width, 1);
      int gateUp = builder.normal(base + "gate_up", 2 * shape.inner(), width, in);
      int down =
          builder.normal(base + "down", width, shape.inner(), 1 / Math.sqrt(shape.inner()) / depth);
      layers.add(
          new LayerAt(
              new Attention.At(norm, qkv, out),
              aroundAttention,
              feedForward(shape, base, feedNorm, gateUp, down, builder),
              connection(shape, base + "ffn_", builder)));
    }
    List<EngramBlock.At> engram = new ArrayList<>();
    if (memory.isThere()) {
      for (int layer : memory.config().layerIds()) {
        engram.add(engram(memory.config(), memory.form(), layer, builder));
      }
    }
    int norm = builder.constant("norm", 1, width, 1);
    return new DecoderTensors(embedding, List.copyOf(layers), List.copyOf(engram), norm);
  }

  private static FeedForward.At feedForward(
      DecoderShape shape, String base, int norm, int gateUp, int down, Parameters.Builder builder) {
    int experts = shape.experts();
    if (experts == 0) {
      return new FeedForward.At(norm, gateUp, down, -1, -1, -1);
    }
    int width = shape.width();
    int inner = shape.expertInner();
    double depth = Math.sqrt(2.0 * shape.layers());
    double in = 1 / Math.sqrt(width);
    return new FeedForward.At(
        norm,
        gateUp,
        down,
        builder.normal(base + "router", experts, width, in),
        builder.normal(base + "experts.gate_up", experts * 2 * inner, width, in),
        builder.normal(
            base + "experts.down", experts * width, inner, 1 / Math.sqrt(inner) / depth));
  }

  /** Reads the mean, writes to all alike, keeps each stream as it is. */
  private static Connection.At connection(
      DecoderShape shape, String base, Parameters.Builder builder) {
    int streams = shape.streams();
    if (streams == 1) {
      return new Connection.At(-1, -1, -1);
    }
    float[] identity = new float[streams * streams];
    for (int h = 0; h < streams; h++) {
      identity[h * streams + h] = 1;
    }
    // reading one stream more than the others tells them apart, which equal weights never would
    float[] read = new float[streams];
    Arrays.fill(read, 0.5f / streams);
    int layer = Integer.parseInt(base.split("\\.", -1)[1]);
    read[layer % streams] += 0.5f;
    return new Connection.At(
        builder.given(base + "read", 1, streams, read),
        builder.constant(base + "write", 1, streams, 1),
        builder.given(base + "mix", streams, streams, identity));
  }

  static EngramBlock.At engram(
      EngramConfig config, EngramForm form, int layer, Parameters.Builder builder) {
    String base = "layers." + layer + ".engram.";
    int wkv =
        builder.normal(
            base + "wkv", config.kvWidth(), config.rowWidth(), 1 / Math.sqrt(config.rowWidth()));
    boolean paper = form == EngramForm.PAPER;
    int bias = paper ? builder.constant(base + "bias", 1, config.kvWidth(), 0) : -1;
    int query = builder.constant(base + "query", config.branches(), config.hiddenSize(), 1);
    int key = builder.constant(base + "key", config.branches(), config.hiddenSize(), 1);
    // taps of zero let everything through at first, and learn, since silu'(0) is one half
    int taps = paper ? builder.constant(base + "taps", config.streamWidth(), form.kernel(), 0) : -1;
    int norm =
        paper
            ? builder.constant(base + "conv_norm", config.branches(), config.hiddenSize(), 1)
            : -1;
    return new EngramBlock.At(wkv, bias, query, key, taps, norm);
  }
}
