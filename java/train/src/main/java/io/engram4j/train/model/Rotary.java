package io.engram4j.train.model;

/** Rotary positions as Llama has them: element i of a head turns with element i + half. */
final class Rotary {
  private static final double BASE = 10_000;

  private final DecoderShape shape;
  private final float[] cos;
  private final float[] sin;

  Rotary(DecoderShape shape) {
    this.shape = shape;
    int half = shape.headWidth() / 2;
    this.cos = new float[shape.context() * half];
    this.sin = new float[shape.context() * half];
    for (int i = 0; i < cos.length; i++) {
      // StrictMath, so that every machine trains the same model
      int position = i / half;
      double angle = position * StrictMath.pow(BASE, -2.0 * (i % half) / shape.headWidth());
      cos[i] = (float) StrictMath.cos(angle);
      sin[i] = (float) StrictMath.sin(angle);
    }
  }

  /**
   * Turns queries and keys by their positions.
   *
   * @param qkv [tokens, 3 * width]
   * @param sign -1 to turn back
   */
  void turn(float[] qkv, Batch batch, float sign) {
    int half = shape.headWidth() / 2;
    for (int token = 0; token < batch.tokens(); token++) {
      int angle = token % batch.length() * half;
      int first = token * 3 * shape.width();
      for (int head = 0; head < 2 * shape.heads(); head++) {
        int at = first + head * shape.headWidth();
        for (int i = 0; i < half; i++) {
          float c = cos[angle + i];
          float s = sign * sin[angle + i];
          float x = qkv[at + i];
          float y = qkv[at + half + i];
          qkv[at + i] = x * c - y * s;
          qkv[at + half + i] = y * c + x * s;
        }
      }
    }
  }
}
