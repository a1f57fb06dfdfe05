package io.engram4j.train.model;

/**
 * Memory that the layers of a pass share on their way back, and the table of angles.
 *
 * @param tokens for which it is enough
 * @param narrow [tokens, width]
 * @param other [tokens, width]
 * @param wide [tokens, the largest of what blocks need]
 * @param square [context, context]
 * @param rotary the angles
 */
@SuppressWarnings("ArrayRecordComponent") // views, never compared or hashed
record Scratch(
    int tokens, float[] narrow, float[] other, float[] wide, float[] square, Rotary rotary) {
  static Scratch of(DecoderShape shape, int tokens) {
    int wide = Math.max(3 * shape.width(), 2 * Math.max(shape.inner(), shape.expertInner()));
    return new Scratch(
        tokens,
        new float[tokens * shape.width()],
        new float[tokens * shape.width()],
        new float[tokens * wide],
        new float[shape.context() * shape.context()],
        new Rotary(shape));
  }
}
