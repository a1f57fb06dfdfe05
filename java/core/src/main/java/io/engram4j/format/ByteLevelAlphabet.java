package io.engram4j.format;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * The byte-level alphabet of GPT-2 style vocabularies: every byte is written as one printable
 * character, those that are printable in Latin-1 as themselves, the others from U+0100 up.
 */
public final class ByteLevelAlphabet {
  private static final char[] CHARS = chars();
  private static final short[] BYTES = bytes();

  private ByteLevelAlphabet() {}

  /** Returns a token's bytes written in the alphabet. */
  public static String encode(byte[] bytes) {
    char[] chars = new char[bytes.length];
    for (int i = 0; i < bytes.length; i++) {
      chars[i] = CHARS[bytes[i] & 0xff];
    }
    return new String(chars);
  }

  /**
   * Returns the bytes that a vocabulary string stands for. As in the Hugging Face decoder, a string
   * with any character outside the alphabet stands for its own UTF-8 bytes.
   */
  public static byte[] decode(String token) {
    ByteArrayOutputStream out = new ByteArrayOutputStream(token.length());
    for (int i = 0; i < token.length(); i++) {
      char c = token.charAt(i);
      if (c >= BYTES.length || BYTES[c] < 0) {
        return token.getBytes(StandardCharsets.UTF_8);
      }
      out.write(BYTES[c]);
    }
    return out.toByteArray();
  }

  private static char[] chars() {
    char[] chars = new char[256];
    char next = 0x100;
    for (int b = 0; b < 256; b++) {
      boolean printable = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
      chars[b] = printable ? (char) b : next++;
    }
    return chars;
  }

  private static short[] bytes() {
    short[] bytes = new short[CHARS[0xad] + 1]; // the last byte to get a character from U+0100 up
    Arrays.fill(bytes, (short) -1);
    for (int b = 0; b < 256; b++) {
      bytes[CHARS[b]] = (short) b;
    }
    return bytes;
  }
}
