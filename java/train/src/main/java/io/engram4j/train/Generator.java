package io.engram4j.train;

import io.engram4j.train.model.Batch;
import io.engram4j.train.model.Decoder;
import io.engram4j.train.model.Pass;
import java.util.Arrays;

/**
 * Continues a text, a token at a time, each time the most probable one. Computes the last context
 * anew for every token, which small models can afford. For one thread at a time.
 */
public final class Generator {
  private final Decoder decoder;
  private final Pass pass;

  /** Makes room for one context. */
  public Generator(Decoder decoder) {
    this.decoder = decoder;
    this.pass = decoder.newPass(decoder.shape().context());
  }

  /**
   * Returns the ids that follow.
   *
   * @param prompt at least one id
   * @param count how many at most
   * @param end at which it ends, which is not returned; or -1
   * @param memory whether Engram's layers have their memory
   */
  public int[] generate(int[] prompt, int count, int end, boolean memory) {
    if (prompt.length == 0) {
      throw new IllegalArgumentException("a prompt has at least one id");
    }
    int[] ids = Arrays.copyOf(prompt, prompt.length + count);
    int length = prompt.length;
    while (length < ids.length) {
      int next = next(ids, length, memory);
      if (next == end) {
        break;
      }
      ids[length++] = next;
    }
    return Arrays.copyOfRange(ids, prompt.length, length);
  }

  private int next(int[] ids, int length, boolean memory) {
    int from = Math.max(0, length - decoder.shape().context());
    int[] window = Arrays.copyOfRange(ids, from, length);
    boolean[] live = new boolean[window.length];
    Arrays.fill(live, memory);
    int[] none = new int[window.length];
    Arrays.fill(none, -1);
    float[] logits =
        pass.logits(new Batch(1, window.length, window, none, new int[window.length], live));
    int size = decoder.shape().vocabulary();
    int row = (window.length - 1) * size;
    int best = 0;
    for (int i = 1; i < size; i++) {
      if (logits[row + i] > logits[row + best]) {
        best = i;
      }
    }
    return best;
  }
}
