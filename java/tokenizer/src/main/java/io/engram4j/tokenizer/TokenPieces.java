package io.engram4j.tokenizer;

import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import java.util.function.LongConsumer;

/**
 * Encodes a text in pieces, since the tokenizers end the process where the heap has no room for the
 * tokens of a call.
 *
 * <p>A cut lies behind the end of a line, with no other space around. Splitters match from left to
 * right and look ahead a character at most, so what follows a cut does not depend on what is before
 * if a match ends there; that it does is seen by encoding the surroundings with and without the
 * cut.
 */
final class TokenPieces {
  /** Characters of a piece. */
  static final int PIECE = 1 << 15;

  /** The longest that is encoded without a cut. */
  static final int MOST = 1 << 20;

  private static final int AROUND = 400;

  private final String text;
  private final List<String> wide;
  private final Function<String, int[]> encode;

  /**
   * A text.
   *
   * @param wide what no cut goes through or stands before
   * @param encode encodes a piece
   */
  TokenPieces(String text, List<String> wide, Function<String, int[]> encode) {
    this.text = text;
    this.wide = wide;
    this.encode = encode;
  }

  int[] encode(LongConsumer progress) {
    int[] ids = new int[0];
    int count = 0;
    int from = 0;
    while (from < text.length()) {
      int end = end(from);
      int[] more = encode.apply(text.substring(from, end));
      progress.accept(end - from);
      if (from == 0 && end == text.length()) {
        return more;
      }
      if (count + more.length > ids.length) {
        ids = Arrays.copyOf(ids, Math.max(count + more.length, 2 * ids.length));
      }
      System.arraycopy(more, 0, ids, count, more.length);
      count += more.length;
      from = end;
    }
    return Arrays.copyOf(ids, count);
  }

  /** Returns where the piece ends that begins at {@code from}. */
  private int end(int from) {
    if (text.length() - from <= PIECE) {
      return text.length();
    }
    for (int at = from + PIECE; at < Math.min(text.length(), from + MOST); at++) {
      if (isPlace(at) && isSame(from, at)) {
        return at;
      }
    }
    if (text.length() - from <= MOST) {
      return text.length();
    }
    throw new IllegalArgumentException(
        "the text is too long to encode at once, and from character "
            + from
            + " to "
            + (from + MOST)
            + " there is no line end where cutting it changes no token");
  }

  private boolean isPlace(int at) {
    int line = at >= 2 && text.charAt(at - 2) == '\r' ? at - 2 : at - 1; // where it ends
    return line >= 1
        && text.charAt(at - 1) == '\n'
        && !Character.isWhitespace(text.charAt(at))
        && !Character.isWhitespace(text.charAt(line - 1))
        && wide.stream().noneMatch(token -> reaches(token, at));
  }

  /** Whether a token stands over a place, or begins there. */
  private boolean reaches(String token, int at) {
    for (int start = Math.max(0, at - token.length() + 1); start <= at; start++) {
      if (text.startsWith(token, start)) {
        return true;
      }
    }
    return false;
  }

  private boolean isSame(int from, int at) {
    int start = Math.max(from, at - AROUND);
    while (start > from && !isPlace(start)) {
      start--;
    }
    int end = Math.min(text.length(), at + AROUND);
    if (end < text.length() && Character.isLowSurrogate(text.charAt(end))) {
      end++;
    }
    int[] whole = encode.apply(text.substring(start, end));
    int[] before = encode.apply(text.substring(start, at));
    int[] behind = encode.apply(text.substring(at, end));
    return whole.length == before.length + behind.length
        && Arrays.equals(whole, 0, before.length, before, 0, before.length)
        && Arrays.equals(whole, before.length, whole.length, behind, 0, behind.length);
  }
}
