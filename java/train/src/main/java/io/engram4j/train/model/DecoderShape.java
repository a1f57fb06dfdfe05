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
 * @param experts of which each token takes one, beside the feed-forward that all share; 0 for none
 * @param expertInner width within an expert
 */
public record DecoderShape(
    int vocabulary,
    int width,
    int layers,
    int heads,
    int inner,
    int streams,
    int context,
    int experts,
    int expertInner) {
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
    if (experts < 0 || (experts > 0 && expertInner < 1)) {
      throw new IllegalArgumentException(experts + " experts of " + expertInner + " inner");
    }
    if (heads < 1 || width % heads != 0 || width / heads % 2 != 0) {
      throw new IllegalArgumentException(
          width + " elements do not divide into " + heads + " heads of an even width");
    }
  }

  /** A shape without experts. */
  public DecoderShape(
      int vocabulary, int width, int layers, int heads, int inner, int streams, int context) {
    this(vocabulary, width, layers, heads, inner, streams, context, 0, 0);
  }

  /** Returns the same with another number of token ids. */
  public DecoderShape withVocabulary(int ids) {
    return new DecoderShape(
        ids, width, layers, heads, inner, streams, context, experts, expertInner);
  }

  /** Returns the same with another feed-forward. */
  public DecoderShape withInner(int shared, int count, int perExpert) {
    return new DecoderShape(
        vocabulary, width, layers, heads, shared, streams, context, count, perExpert);
  }

  /** Returns the width of a head. */
  public int headWidth() {
    return width / heads;
  }
}
