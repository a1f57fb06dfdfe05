package io.engram4j.rivals;

import ai.djl.engine.Engine;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDArrays;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.ndarray.types.SparseFormat;
import ai.djl.nn.Activation;
import ai.djl.training.GradientCollector;
import ai.djl.training.optimizer.Optimizer;
import ai.djl.training.tracker.Tracker;
import io.engram4j.train.model.Batch;
import io.engram4j.train.model.Decoder;
import io.engram4j.train.model.DecoderShape;
import io.engram4j.train.model.Parameters;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/**
 * The dense decoder of java/train as DJL's users would write it for PyTorch, with the same weights.
 */
final class TorchDecoder implements AutoCloseable {
  private static final float EPS = 1e-5f;

  private final DecoderShape shape;
  private final NDManager manager = NDManager.newBaseManager("PyTorch");
  private final Map<String, NDArray> parameters = new LinkedHashMap<>();
  private final NDArray cos;
  private final NDArray sin;
  private final NDArray mask;
  private final Optimizer optimizer;

  TorchDecoder(Decoder decoder, float rate) {
    this.shape = decoder.shape();
    for (Parameters.Tensor tensor : decoder.parameters().tensors()) {
      float[] values =
          java.util.Arrays.copyOfRange(
              decoder.parameters().values(), tensor.at(), tensor.at() + tensor.size());
      Shape size =
          tensor.rows() == 1
              ? new Shape(tensor.columns())
              : new Shape(tensor.rows(), tensor.columns());
      NDArray made = manager.create(values, size);
      made.setRequiresGradient(true);
      parameters.put(tensor.name(), made);
    }
    int length = shape.context();
    int half = shape.headWidth() / 2;
    float[] c = new float[length * half];
    float[] s = new float[length * half];
    for (int i = 0; i < c.length; i++) {
      int position = i / half;
      double angle = position * Math.pow(10_000, -2.0 * (i % half) / shape.headWidth());
      c[i] = (float) Math.cos(angle);
      s[i] = (float) Math.sin(angle);
    }
    this.cos = manager.create(c, new Shape(1, 1, length, half));
    this.sin = manager.create(s, new Shape(1, 1, length, half));
    float[] forbidden = new float[length * length];
    for (int i = 0; i < length; i++) {
      java.util.Arrays.fill(forbidden, i * length + i + 1, (i + 1) * length, -1e9f);
    }
    this.mask = manager.create(forbidden, new Shape(1, 1, length, length));
    this.optimizer = Optimizer.adamW().optLearningRateTracker(Tracker.fixed(rate)).build();
  }

  private NDArray weight(String name) {
    return Objects.requireNonNull(parameters.get(name), name);
  }

  /** One step of training; returns the mean loss before it. */
  double step(Batch batch) {
    double result;
    try (NDManager own = manager.newSubManager();
        GradientCollector collector = Engine.getEngine("PyTorch").newGradientCollector()) {
      // what is made of a parameter belongs to its manager, which is one of this step's
      parameters.values().forEach(each -> each.tempAttach(own));
      cos.tempAttach(own);
      sin.tempAttach(own);
      mask.tempAttach(own);
      NDArray loss = loss(own, batch);
      collector.backward(loss);
      result = loss.getFloat();
      parameters.forEach((name, weight) -> {
        NDArray gradient = weight.getGradient();
        optimizer.update(name, weight, gradient);
        gradient.muli(0);
      });
    }
    return result;
  }

  private NDArray loss(NDManager own, Batch batch) {
    int sequences = batch.sequences();
    int length = batch.length();
    int width = shape.width();
    NDArray ids =
        own.create(batch.ids(), new Shape(sequences, length)).toType(DataType.INT64, false);
    NDArray embed = weight("embed");
    NDArray x =
        ids.getNDArrayInternal().embedding(ids, embed, SparseFormat.DENSE).singletonOrThrow();
    for (int layer = 0; layer < shape.layers(); layer++) {
      String base = "layers." + layer + ".";
      x = x.add(attention(norm(x, base + "attn_norm"), base, sequences, length));
      NDArray both = norm(x, base + "ffn_norm").matMul(weight(base + "gate_up").transpose());
      NDList parts = both.split(2, 2);
      NDArray inner = parts.get(0).mul(Activation.sigmoid(parts.get(0))).mul(parts.get(1));
      x = x.add(inner.matMul(weight(base + "down").transpose()));
    }
    NDArray logits =
        norm(x, "norm").reshape((long) sequences * length, width).matMul(embed.transpose());
    NDArray targets =
        own.create(batch.targets(), new Shape((long) sequences * length, 1))
            .toType(DataType.INT64, false);
    return logits.logSoftmax(1).gather(targets, 1).mean().neg();
  }

  private NDArray norm(NDArray x, String name) {
    NDArray scale = x.square().mean(new int[] {2}, true).add(EPS).pow(-0.5);
    return x.mul(scale).mul(weight(name));
  }

  private NDArray attention(NDArray x, String base, int sequences, int length) {
    int heads = shape.heads();
    int size = shape.headWidth();
    NDList qkv = x.matMul(weight(base + "qkv").transpose()).split(3, 2);
    NDArray[] parts = new NDArray[3];
    for (int i = 0; i < 3; i++) {
      parts[i] = qkv.get(i).reshape(sequences, length, heads, size).transpose(0, 2, 1, 3);
    }
    NDArray scores = turn(parts[0]).matMul(turn(parts[1]).transpose(0, 1, 3, 2));
    NDArray p = scores.mul(1 / (float) Math.sqrt(size)).add(mask).softmax(3);
    NDArray mixed =
        p.matMul(parts[2]).transpose(0, 2, 1, 3).reshape(sequences, length, shape.width());
    return mixed.matMul(weight(base + "attn_out").transpose());
  }

  private NDArray turn(NDArray x) {
    NDList halves = x.split(2, 3);
    NDArray a = halves.get(0);
    NDArray b = halves.get(1);
    return NDArrays.concat(new NDList(a.mul(cos).sub(b.mul(sin)), b.mul(cos).add(a.mul(sin))), 3);
  }

  @Override
  public void close() {
    manager.close();
  }
}
