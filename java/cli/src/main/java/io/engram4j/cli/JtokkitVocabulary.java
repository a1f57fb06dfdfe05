package io.engram4j.cli;

import com.knuddels.jtokkit.Encodings;
import com.knuddels.jtokkit.api.Encoding;
import com.knuddels.jtokkit.api.EncodingType;
import com.knuddels.jtokkit.api.IntArrayList;
import io.engram4j.model.TokenVocabulary;

/** OpenAI's o200k_base as JTokkit embeds it: a real vocabulary that needs no download. */
final class JtokkitVocabulary implements TokenVocabulary {
  /** The ordinary tokens; special ones come after them, and the demo needs none. */
  static final int SIZE = 199_998;

  private final Encoding encoding =
      Encodings.newLazyEncodingRegistry().getEncoding(EncodingType.O200K_BASE);

  @Override
  public int size() {
    return SIZE;
  }

  @Override
  public byte[] bytes(int id) {
    IntArrayList one = new IntArrayList(1);
    one.add(id);
    return encoding.decodeBytes(one);
  }

  /** Returns the token ids of a text. */
  int[] encode(String text) {
    return encoding.encodeOrdinary(text).toArray();
  }
}
