package io.engram4j.train.model;

/**
 * The shape of a decoder: RMSNorm before each block, rotary positions, SwiGLU, the head tied to the
 * embedding; with more than one stream, each block reads a learned mixture of the streams and
 * writes to all. Immutable.
 *
 * @param vocabulary token ids
 * @param width of a stream
 * @param layers how many, each of attention and feed-forward
 * @param heads of attention, which divide the width
 * @param inner width within feed-forward
 * @param streams parallel residual streams
 * @param context tokens of a sequence
 */
public record DecoderShape(
    int vocabulary, int width, int layers, int heads, int inner, int streams, int context) {
  public DecoderShape {
    if (vocabulary < 2 || layers < 1 || inner < 1 || streams < 1 || context < 2) {
      throw new IllegalArgumentException(
          "a decoder of "
              + vocabulary
              + " ids, "
              + layers
              + " layers, "
              + inner
              + " inner, "
              + streams
              + " streams, "
              + context
              + " tokens");
    }
    if (heads < 1 || width % heads != 0 || width / heads % 2 != 0) {
      throw new IllegalArgumentException(
          width + " elements do not divide into " + heads + " heads of an even width");
    }
  }

  /** Returns the width of a head. */
  public int headWidth() {
    return width / heads;
  }
}
