package io.engram4j.train.model;

import io.engram4j.train.kernel.Gemm;
import io.engram4j.train.kernel.Matrix;
import io.engram4j.train.kernel.RmsNorm;
import io.engram4j.train.kernel.Softmax;
import java.util.Arrays;

/** Causal attention within a document, with rotary positions. */
final class Attention implements Block {
  /** Where a layer's tensors begin. */
  record At(int norm, int qkv, int out) {}

  private final DecoderShape shape;
  private final float[] parameters;
  private final At at;
  private final Gemm gemm;
  private final Rotary rotary;
  private final float[] input;
  private final float[] scales;
  private final float[] normed;
  private final float[] qkv;
  private final float[] probabilities; // [sequences, heads, length, length]
  private final float[] mixed;
  private final Scratch scratch;

  Attention(DecoderShape shape, float[] parameters, At at, Gemm gemm, Scratch scratch) {
    this.shape = shape;
    this.parameters = parameters;
    this.at = at;
    this.gemm = gemm;
    this.scratch = scratch;
    this.rotary = scratch.rotary();
    int tokens = scratch.tokens();
    int width = shape.width();
    this.input = new float[tokens * width];
    this.scales = new float[tokens];
    this.normed = new float[tokens * width];
    this.qkv = new float[tokens * 3 * width];
    this.probabilities = new float[tokens * shape.heads() * shape.context()];
    this.mixed = new float[tokens * width];
  }

  @Override
  public void forward(float[] x, float[] y, Batch batch) {
    int tokens = batch.tokens();
    int width = shape.width();
    System.arraycopy(x, 0, input, 0, tokens * width);
    RmsNorm.forward(input, parameters, at.norm(), tokens, width, scales, normed);
    gemm.multiply(
        Matrix.of(normed, 0, tokens, width),
        Matrix.of(parameters, at.qkv(), 3 * width, width).transposed(),
        Matrix.of(qkv, 0, tokens, 3 * width),
        false);
    rotary.turn(qkv, batch, 1);
    for (int sequence = 0; sequence < batch.sequences(); sequence++) {
      for (int head = 0; head < shape.heads(); head++) {
        attend(batch, sequence, head);
      }
    }
    gemm.multiply(
        Matrix.of(mixed, 0, tokens, width),
        Matrix.of(parameters, at.out(), width, width).transposed(),
        Matrix.of(y, 0, tokens, width),
        false);
  }

  /** Queries, keys or values (part 0, 1, 2) of a head. */
  private Matrix part(float[] data, Batch batch, int sequence, int head, int part) {
    int width = shape.width();
    int from = sequence * batch.length() * 3 * width + part * width + head * shape.headWidth();
    return Matrix.of(data, from, batch.length(), shape.headWidth(), 3 * width);
  }

  private Matrix head(float[] data, Batch batch, int sequence, int head) {
    int width = shape.width();
    int from = sequence * batch.length() * width + head * shape.headWidth();
    return Matrix.of(data, from, batch.length(), shape.headWidth(), width);
  }

  private Matrix scores(Batch batch, int sequence, int head) {
    int length = batch.length();
    int from = (sequence * shape.heads() + head) * length * length;
    return Matrix.of(probabilities, from, length, length);
  }

  private float scale() {
    return (float) (1 / Math.sqrt(shape.headWidth()));
  }

  private void attend(Batch batch, int sequence, int head) {
    int length = batch.length();
    Matrix scores = scores(batch, sequence, head);
    gemm.multiply(
        part(qkv, batch, sequence, head, 0),
        part(qkv, batch, sequence, head, 1).transposed(),
        scores,
        false);
    float scale = scale();
    for (int i = 0; i < length; i++) {
      int row = scores.at() + i * length;
      int first = batch.start()[sequence * length + i] - sequence * length;
      Arrays.fill(probabilities, row, row + first, 0f);
      Arrays.fill(probabilities, row + i + 1, row + length, 0f);
      for (int j = row + first; j <= row + i; j++) {
        probabilities[j] *= scale;
      }
      Softmax.run(probabilities, row + first, i + 1 - first);
    }
    gemm.multiply(
        scores, part(qkv, batch, sequence, head, 2), head(mixed, batch, sequence, head), false);
  }

  @Override
  public void backward(float[] dy, float[] dx, Batch batch, float[] gradients) {
    int tokens = batch.tokens();
    int width = shape.width();
    float[] dmixed = scratch.narrow();
    float[] dqkv = scratch.wide();
    Matrix back = Matrix.of(dy, 0, tokens, width);
    gemm.multiply(
        back,
        Matrix.of(parameters, at.out(), width, width),
        Matrix.of(dmixed, 0, tokens, width),
        false);
    gemm.multiply(
        back.transposed(),
        Matrix.of(mixed, 0, tokens, width),
        Matrix.of(gradients, at.out(), width, width),
        true);
    for (int sequence = 0; sequence < batch.sequences(); sequence++) {
      for (int head = 0; head < shape.heads(); head++) {
        attendBack(batch, sequence, head, dmixed, dqkv);
      }
    }
    rotary.turn(dqkv, batch, -1);
    Matrix wide = Matrix.of(dqkv, 0, tokens, 3 * width);
    gemm.multiply(
        wide,
        Matrix.of(parameters, at.qkv(), 3 * width, width),
        Matrix.of(dmixed, 0, tokens, width), // now of what was normed
        false);
    gemm.multiply(
        wide.transposed(),
        Matrix.of(normed, 0, tokens, width),
        Matrix.of(gradients, at.qkv(), 3 * width, width),
        true);
    RmsNorm.backward(input, parameters, at.norm(), tokens, width, scales, dmixed, dx, gradients);
  }

  private void attendBack(Batch batch, int sequence, int head, float[] dmixed, float[] dqkv) {
    int length = batch.length();
    Matrix scores = scores(batch, sequence, head);
    Matrix out = head(dmixed, batch, sequence, head);
    float[] dscores = scratch.square();
    Matrix ds = Matrix.of(dscores, 0, length, length);
    gemm.multiply(scores.transposed(), out, part(dqkv, batch, sequence, head, 2), false);
    gemm.multiply(out, part(qkv, batch, sequence, head, 2).transposed(), ds, false);
    float scale = scale();
    for (int i = 0; i < length; i++) {
      int row = scores.at() + i * length;
      double dot = 0;
      for (int j = 0; j <= i; j++) {
        dot += (double) probabilities[row + j] * dscores[i * length + j];
      }
      float mean = (float) dot;
      for (int j = 0; j < length; j++) { // a probability of zero gives zero
        dscores[i * length + j] = probabilities[row + j] * (dscores[i * length + j] - mean) * scale;
      }
    }
    gemm.multiply(
        ds, part(qkv, batch, sequence, head, 1), part(dqkv, batch, sequence, head, 0), false);
    gemm.multiply(
        ds.transposed(),
        part(qkv, batch, sequence, head, 0),
        part(dqkv, batch, sequence, head, 1),
        false);
  }
}
