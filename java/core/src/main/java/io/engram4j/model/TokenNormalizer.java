package io.engram4j.model;

import java.text.Normalizer;

/**
 * The normalisation under which tokens collapse (docs/spec.md, section 2): NFKC, NFD, accents off,
 * lower case, white space. Each step follows the Rust code of the reference where Java's ready-made
 * methods differ.
 */
final class TokenNormalizer {
  private static final int LONE_SPACE = 0xE000;

  private TokenNormalizer() {}

  /** Returns the normalised text, which may be empty. */
  public static String normalize(String text) {
    String composed = Normalizer.normalize(text, Normalizer.Form.NFKC);
    String decomposed = Normalizer.normalize(composed, Normalizer.Form.NFD);
    StringBuilder lower = new StringBuilder(decomposed.length());
    decomposed.codePoints().filter(c -> !isMark(c)).forEach(c -> appendLowerCase(lower, c));
    String collapsed = collapseSpaces(lower);
    if (collapsed.equals(" ")) {
      return " "; // set aside as U+E000 before the strip and put back after it
    }
    return strip(collapsed).replace((char) LONE_SPACE, ' ');
  }

  /** All combining marks: the reference strips Mc and Me too, not only Mn. */
  private static boolean isMark(int codePoint) {
    int type = Character.getType(codePoint);
    return type == Character.NON_SPACING_MARK
        || type == Character.COMBINING_SPACING_MARK
        || type == Character.ENCLOSING_MARK;
  }

  /** Per code point: String.toLowerCase would turn a final sigma into another letter. */
  private static void appendLowerCase(StringBuilder out, int codePoint) {
    if (codePoint == 0x130) {
      out.append("i\u0307"); // the only letter whose lower case is two
    } else {
      out.appendCodePoint(Character.toLowerCase(codePoint));
    }
  }

  private static String collapseSpaces(CharSequence text) {
    StringBuilder out = new StringBuilder(text.length());
    boolean inRun = false;
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      boolean space = c == ' ' || c == '\t' || c == '\r' || c == '\n';
      if (!space) {
        out.append(c);
      } else if (!inRun) {
        out.append(' ');
      }
      inRun = space;
    }
    return out.toString();
  }

  private static String strip(String text) {
    int start = 0;
    int end = text.length();
    while (start < end && isWhiteSpace(text.charAt(start))) {
      start++;
    }
    while (end > start && isWhiteSpace(text.charAt(end - 1))) {
      end--;
    }
    return text.substring(start, end);
  }

  /** Unicode's White_Space, which neither Character.isWhitespace nor String.strip goes by. */
  private static boolean isWhiteSpace(char c) {
    return (c >= 0x9 && c <= 0xd)
        || c == 0x20
        || c == 0x85
        || c == 0xa0
        || c == 0x1680
        || (c >= 0x2000 && c <= 0x200a)
        || c == 0x2028
        || c == 0x2029
        || c == 0x202f
        || c == 0x205f
        || c == 0x3000;
  }
}
