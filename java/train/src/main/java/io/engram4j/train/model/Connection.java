package io.engram4j.train.model;

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
      combine(input, token * streams * width, parameters, at.read(), read, token * width, 1);
    }
    block.forward(read, output, batch);
    for (int token = 0; token < tokens; token++) {
      int from = token * streams * width;
      for (int h = 0; h < streams; h++) {
        int to = from + h * width;
        combine(input, from, parameters, at.mix() + h * streams, x, to, 1);
        float write = parameters[at.write() + h];
        for (int i = 0; i < width; i++) {
          x[to + i] += write * output[token * width + i];
        }
      }
    }
  }

  /** Adds streams by weights that are {@code stride} apart. */
  private void combine(
      float[] streams, int from, float[] weights, int weight, float[] to, int at, int stride) {
    int width = shape.width();
    float first = weights[weight];
    for (int i = 0; i < width; i++) {
      to[at + i] = first * streams[from + i];
    }
    for (int h = 1; h < shape.streams(); h++) {
      float w = weights[weight + h * stride];
      int source = from + h * width;
      for (int i = 0; i < width; i++) {
        to[at + i] += w * streams[source + i];
      }
    }
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
      combine(dx, from, parameters, at.write(), dy, token * width, 1);
      for (int h = 0; h < streams; h++) {
        gradients[at.write() + h] += dot(dx, from + h * width, output, token * width);
        for (int g = 0; g < streams; g++) {
          gradients[at.mix() + h * streams + g] +=
              dot(dx, from + h * width, input, from + g * width);
        }
      }
      for (int g = 0; g < streams; g++) {
        combine(dx, from, parameters, at.mix() + g, mixed, g * width, streams);
      }
      System.arraycopy(mixed, 0, dx, from, streams * width);
    }
    java.util.Arrays.fill(read, 0, tokens * width, 0f); // now its gradient
    block.backward(dy, read, batch, gradients);
    for (int token = 0; token < tokens; token++) {
      int from = token * streams * width;
      for (int h = 0; h < streams; h++) {
        gradients[at.read() + h] += dot(read, token * width, input, from + h * width);
        float weight = parameters[at.read() + h];
        for (int i = 0; i < width; i++) {
          dx[from + h * width + i] += weight * read[token * width + i];
        }
      }
    }
  }

  private float dot(float[] a, int aAt, float[] b, int bAt) {
    double sum = 0;
    for (int i = 0; i < shape.width(); i++) {
      sum += (double) a[aAt + i] * b[bAt + i];
    }
    return (float) sum;
  }
}
