package io.engram4j.host;

import java.util.Locale;

/**
 * Text that came out of a file, for messages: names of tensors and shards must not move a
 * terminal's cursor, nor end a line of a log.
 */
public final class Printable {
  private Printable() {}

  /** Returns a text with each control character as a backslash, {@code u} and four digits. */
  public static String of(String text) {
    if (text.chars().noneMatch(Printable::isControl)) {
      return text;
    }
    StringBuilder out = new StringBuilder();
    text.chars()
        .forEach(c -> {
          if (isControl(c)) {
            out.append(String.format(Locale.ROOT, "\\u%04x", c));
          } else {
            out.append((char) c);
          }
        });
    return out.toString();
  }

  /** U+0080 to U+009F among them, which terminals obey as well; and those that turn text around. */
  private static boolean isControl(int c) {
    return Character.isISOControl(c)
        || c == 0x2028
        || c == 0x2029
        || (c >= 0x202a && c <= 0x202e)
        || (c >= 0x2066 && c <= 0x2069);
  }
}
