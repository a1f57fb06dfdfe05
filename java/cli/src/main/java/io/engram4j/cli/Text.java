package io.engram4j.cli;

import io.engram4j.host.Printable;
import io.engram4j.model.TokenVocabulary;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/** Small helpers for text on a terminal. */
final class Text {
  private Text() {}

  /** Returns a number with thousands separators. */
  static String count(long value) {
    return String.format(Locale.ROOT, "%,d", value);
  }

  /** Returns a number of bytes in a unit that people read. */
  static String bytes(long value) {
    if (value < 1000) {
      return value + " B";
    }
    String[] units = {"kB", "MB", "GB", "TB", "PB", "EB"};
    double scaled = value;
    int unit = -1;
    while (scaled >= 999.95 && unit < units.length - 1) {
      scaled /= 1000;
      unit++;
    }
    return String.format(Locale.ROOT, "%.1f %s", scaled, units[unit]);
  }

  /** Returns a rate in three digits. */
  static String rate(double perSecond) {
    if (!(perSecond < Double.POSITIVE_INFINITY)) {
      return "-";
    }
    return perSecond >= 100
        ? count(Math.round(perSecond))
        : String.format(Locale.ROOT, "%.3g", perSecond);
  }

  /** Returns text on one line, quoted, control characters escaped. */
  static String quoted(String text) {
    StringBuilder out = new StringBuilder("\"");
    text.codePoints()
        .forEach(c -> {
          switch (c) {
            case '\n' -> out.append("\\n");
            case '\r' -> out.append("\\r");
            case '\t' -> out.append("\\t");
            case '"' -> out.append("\\\"");
            default -> {
              if (Character.isISOControl(c) || Character.getType(c) == Character.FORMAT) {
                out.append(String.format(Locale.ROOT, "\\u%04x", c));
              } else {
                out.appendCodePoint(c);
              }
            }
          }
        });
    return out.append('"').toString();
  }

  /** Returns text of one line or more without what a terminal obeys. */
  static String printable(String text) {
    return text.lines().map(Printable::of).collect(Collectors.joining("\n"))
        + (text.endsWith("\n") ? "\n" : "");
  }

  /** Returns how many columns text takes on a terminal: two for East Asian wide characters. */
  static int width(String text) {
    return text.codePoints()
        .map(c -> {
          int type = Character.getType(c);
          if (type == Character.NON_SPACING_MARK || type == Character.ENCLOSING_MARK) {
            return 0;
          }
          boolean wide =
              (c >= 0x1100 && c <= 0x115f)
                  || (c >= 0x2e80 && c <= 0xa4cf)
                  || (c >= 0xac00 && c <= 0xd7a3)
                  || (c >= 0xf900 && c <= 0xfaff)
                  || (c >= 0xfe30 && c <= 0xfe6f)
                  || (c >= 0xff00 && c <= 0xff60)
                  || (c >= 0xffe0 && c <= 0xffe6)
                  || (c >= 0x1f300 && c <= 0x1faff)
                  || (c >= 0x20000 && c <= 0x3fffd);
          return wide ? 2 : 1;
        })
        .sum();
  }

  /** Returns text in lines of a width, broken at spaces; a longer word has a line of its own. */
  static List<String> wrap(String text, int width) {
    if (width(text) <= width) {
      return List.of(text);
    }
    List<String> lines = new ArrayList<>();
    StringBuilder line = new StringBuilder();
    for (String word : text.split(" ", -1)) {
      if (!line.isEmpty() && width(line.toString()) + 1 + width(word) > width) {
        lines.add(line.toString());
        line.setLength(0);
      }
      line.append(line.isEmpty() ? "" : " ").append(word);
    }
    lines.add(line.toString());
    return lines;
  }

  /**
   * Returns what each token shows: a character whose bytes are spread over several tokens belongs
   * to the last of them, the others show nothing.
   */
  static String[] pieces(TokenVocabulary vocabulary, int[] ids) {
    CharsetDecoder decoder =
        StandardCharsets.UTF_8
            .newDecoder()
            .onMalformedInput(CodingErrorAction.REPLACE)
            .onUnmappableCharacter(CodingErrorAction.REPLACE);
    String[] pieces = new String[ids.length];
    ByteBuffer pending = ByteBuffer.allocate(0);
    for (int i = 0; i < ids.length; i++) {
      byte[] bytes = vocabulary.bytes(ids[i]);
      ByteBuffer in = ByteBuffer.allocate(pending.remaining() + bytes.length);
      in.put(pending).put(bytes).flip();
      CharBuffer out = CharBuffer.allocate(in.remaining() + 1);
      decoder.decode(in, out, i == ids.length - 1);
      pieces[i] = out.flip().toString();
      pending = in.slice();
    }
    return pieces;
  }
}
