package io.engram4j.hf;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.zip.CRC32C;

/** Damages inputs: bits, pieces cut out, doubled or cut off, numbers replaced by nasty ones. */
final class Mutations {
  private static final String[] NASTY = {
    "0",
    "-1",
    "1e308",
    "NaN",
    "null",
    "true",
    "\"\"",
    "[]",
    "{}",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "2147483648",
    "1.5",
    "4611686018427387904",
    "\"\\ud800\"",
    "[[[[[[[[",
    "\u0000",
    "65536",
    "4294967295"
  };

  private Mutations() {}

  /**
   * The same, with a checksum of our small files that fits again, so that it meets later checks.
   */
  static byte[] checked(byte[] base, SplittableRandom random) {
    byte[] bytes = damaged(base, random);
    if (bytes.length > 4 && random.nextInt(8) > 0) {
      CRC32C crc = new CRC32C();
      crc.update(bytes, 0, bytes.length - 4);
      ByteBuffer.wrap(bytes)
          .order(ByteOrder.LITTLE_ENDIAN)
          .putInt(bytes.length - 4, (int) crc.getValue());
    }
    return bytes;
  }

  static byte[] damaged(byte[] base, SplittableRandom random) {
    byte[] bytes = base.clone();
    for (int change = 1 + random.nextInt(4); change > 0 && bytes.length > 0; change--) {
      int at = random.nextInt(bytes.length);
      int to = Math.min(bytes.length, at + 1 + random.nextInt(30));
      bytes =
          switch (random.nextInt(7)) {
            case 0 -> replace(bytes, at, at + 1, new byte[] {(byte) random.nextInt(256)});
            case 1 -> replace(bytes, at, to, new byte[0]);
            case 2 -> replace(bytes, at, at, Arrays.copyOfRange(bytes, at, to));
            case 3 -> Arrays.copyOf(bytes, at);
            case 4 -> flip(bytes, at, random);
            default -> value(bytes, at, random);
          };
    }
    return bytes;
  }

  /** Puts something nasty where a number stands. */
  private static byte[] value(byte[] bytes, int at, SplittableRandom random) {
    int from = at;
    while (from < bytes.length && (bytes[from] < '0' || bytes[from] > '9')) {
      from++;
    }
    int to = from;
    while (to < bytes.length && bytes[to] >= '0' && bytes[to] <= '9') {
      to++;
    }
    String nasty = NASTY[random.nextInt(NASTY.length)];
    return replace(bytes, from, to, nasty.getBytes(StandardCharsets.UTF_8));
  }

  private static byte[] flip(byte[] bytes, int at, SplittableRandom random) {
    bytes[at] ^= (byte) (1 << random.nextInt(8));
    return bytes;
  }

  private static byte[] replace(byte[] bytes, int from, int to, byte[] middle) {
    byte[] result = Arrays.copyOf(bytes, from + middle.length + bytes.length - to);
    System.arraycopy(middle, 0, result, from, middle.length);
    System.arraycopy(bytes, to, result, from + middle.length, bytes.length - to);
    return result;
  }
}
