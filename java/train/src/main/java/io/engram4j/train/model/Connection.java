package io.engram4j.train.model;

import io.engram4j.train.kernel.StreamSums;

/**
 * What stands between a block and the streams. With one stream, x + f(x). With more, as
 * hyper-connections have it: the block reads sum(read[h] x[h]), and stream h becomes sum(mix[h, g]
 * x[g]) + write[h] y.
 */
final class Connection {
  /** Where a block's numbers begin: read and write [streams], mix [streams, streams]. */
  record At(int read, int write, int mix) {}

  private final DecoderShape shape;
  private final float[] parameters;
  private final At at;
  private final Block block;
  private final float[] input; // [tokens, streams, width]
  private final float[] read; // [tokens, width]
  private final float[] output;
  private final float[] reads; // of gradients, [streams, width]
  private final float[] writes;
  private final float[] mixes; // [streams, streams, width]
  private final Scratch scratch;

  Connection(DecoderShape shape, float[] parameters, At at, Block block, Scratch scratch) {
    this.shape = shape;
    this.parameters = parameters;
    this.at = at;
    this.block = block;
    this.scratch = scratch;
    int narrow = scratch.tokens() * shape.width();
    boolean many = shape.streams() > 1;
    this.input = new float[many ? narrow * shape.streams() : 0];
    this.read = new float[many ? narrow : 0];
    this.output = new float[narrow];
    int wide = many ? shape.streams() * shape.width() : 0;
    this.reads = new float[wide];
    this.writes = new float[wide];
    this.mixes = new float[wide * shape.streams()];
  }

  /** Passes the streams through the block, in place. */
  void forward(float[] x, Batch batch) {
    int width = shape.width();
    int streams = shape.streams();
    int tokens = batch.tokens();
    if (streams == 1) {
      block.forward(x, output, batch);
      for (int i = 0; i < tokens * width; i++) {
        x[i] += output[i];
      }
      return;
    }
    System.arraycopy(x, 0, input, 0, tokens * streams * width);
    for (int token = 0; token < tokens; token++) {
      int from = token * streams * width;
      combine(input, from, parameters, at.read(), 1, read, token * width);
    }
    block.forward(read, output, batch);
    for (int token = 0; token < tokens; token++) {
      int from = token * streams * width;
      for (int h = 0; h < streams; h++) {
        int to = from + h * width;
        combine(input, from, parameters, at.mix() + h * streams, 1, x, to);
        StreamSums.addScaled(parameters[at.write() + h], output, token * width, x, to, width);
      }
    }
  }

  /** Adds streams up, by weights that are {@code stride} apart. */
  private void combine(
      float[] streams, int from, float[] weights, int weight, int stride, float[] to, int toAt) {
    StreamSums.combine(
        streams, from, shape.streams(), weights, weight, stride, to, toAt, shape.width());
  }

  /** Takes the gradient of the streams back through the block, in place. */
  void backward(float[] dx, Batch batch, float[] gradients) {
    int width = shape.width();
    int streams = shape.streams();
    int tokens = batch.tokens();
    if (streams == 1) {
      block.backward(dx, dx, batch, gradients);
      return;
    }
    float[] dy = scratch.other();
    float[] mixed = new float[streams * width];
    for (int token = 0; token < tokens; token++) {
      int from = token * streams * width;
      combine(dx, from, parameters, at.write(), 1, dy, token * width);
      for (int h = 0; h < streams; h++) {
        products(writes, h, dx, from + h * width, output, token * width);
        for (int g = 0; g < streams; g++) {
          products(mixes, h * streams + g, dx, from + h * width, input, from + g * width);
        }
      }
      for (int g = 0; g < streams; g++) {
        combine(dx, from, parameters, at.mix() + g, streams, mixed, g * width);
      }
      System.arraycopy(mixed, 0, dx, from, streams * width);
    }
    java.util.Arrays.fill(read, 0, tokens * width, 0f); // now its gradient
    block.backward(dy, read, batch, gradients);
    for (int token = 0; token < tokens; token++) {
      int from = token * streams * width;
      for (int h = 0; h < streams; h++) {
        products(reads, h, read, token * width, input, from + h * width);
        float weight = parameters[at.read() + h];
        StreamSums.addScaled(weight, read, token * width, dx, from + h * width, width);
      }
    }
    addUp(reads, gradients, at.read());
    addUp(writes, gradients, at.write());
    addUp(mixes, gradients, at.mix());
  }

  /** Adds products one by one: sums over the width wait until all tokens were there. */
  private void products(float[] sums, int index, float[] a, int aAt, float[] b, int bAt) {
    int width = shape.width();
    StreamSums.addProducts(a, aAt, b, bAt, sums, index * width, width);
  }

  /** Adds what was summed to the gradients, and begins anew. */
  private void addUp(float[] sums, float[] gradients, int to) {
    int width = shape.width();
    for (int index = 0; index < sums.length / width; index++) {
      double sum = 0;
      for (int i = 0; i < width; i++) {
        sum += sums[index * width + i];
      }
      gradients[to + index] += (float) sum;
    }
    java.util.Arrays.fill(sums, 0f);
  }
}
