package io.engram4j.remote.wire;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.zip.CRC32C;

/**
 * The fixed head of a message, {@link #BYTES} long, little-endian: magic, version and type, number
 * of the request, layer, slice, rows, first row of these, milliseconds left, first eight bytes of
 * the generation, length of what follows, and a CRC-32C of all of it.
 */
final class Frame {
  static final int BYTES = 64;

  /** Longest that may follow: more is a mistake, or no message at all. */
  static final int MOST_BYTES = 64 << 20;

  private static final int MAGIC = 0x31574745; // EGW1
  private static final int CRC = 60;
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfLong LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** What a message says. */
  enum Type {
    /** Client: a nonce. */
    HELLO(1),
    /** Server: a nonce, and that it knows the key. */
    CHALLENGE(2),
    /** Client: that it knows the key too. */
    ANSWER(3),
    /** Client: what is served? With the generation that it knows. */
    ASK(4),
    /** Server: the manifest, unless it is known, and which slices. */
    MANIFEST(5),
    /** Client: ids within a slice. */
    GET(6),
    /** Server: some rows of a request, those after those before. */
    ROWS(7),
    /** Server: why it gives none. */
    REFUSED(8),
    /**
     * Both: messages one after the other, each with a head and padded to 8 bytes. Their checksums
     * are 0, as that of the whole is over all.
     */
    MANY(9);

    private final int code;

    Type(int code) {
      this.code = code;
    }

    static Type of(int code) throws IOException {
      for (Type type : TYPES) {
        if (type.code == code) {
          return type;
        }
      }
      throw new IOException("a message of unknown type " + code);
    }
  }

  private static final Type[] TYPES = Type.values();

  private Frame() {}

  /** Begins a head; fields that are not set are 0. */
  static void begin(MemorySegment head, Type type, long request, int payload) {
    head.asSlice(0, BYTES).fill((byte) 0);
    head.set(INT, 0, MAGIC);
    head.set(INT, 4, type.code);
    head.set(LONG, 8, request);
    head.set(INT, 44, payload);
  }

  static void setRows(MemorySegment head, int layer, int slice, int rows, int first) {
    head.set(INT, 16, layer);
    head.set(INT, 20, slice);
    head.set(INT, 24, rows);
    head.set(INT, 28, first);
  }

  static void setMillis(MemorySegment head, int millis) {
    head.set(INT, 32, millis);
  }

  static void setGeneration(MemorySegment head, long generation) {
    head.set(LONG, 36, generation);
  }

  /** Says how much follows, which was not known at the beginning. */
  static void setPayload(MemorySegment head, int payload) {
    head.set(INT, 44, payload);
  }

  /** Ends it, when what follows is there. */
  static void seal(MemorySegment head, MemorySegment payload, CRC32C crc) {
    head.set(INT, CRC, checksum(head, payload, crc));
  }

  private static int checksum(MemorySegment head, MemorySegment payload, CRC32C crc) {
    crc.reset();
    update(crc, head.asSlice(0, CRC));
    update(crc, payload);
    return (int) crc.getValue();
  }

  private static void update(CRC32C crc, MemorySegment bytes) {
    ByteBuffer buffer = bytes.asByteBuffer();
    crc.update(buffer);
  }

  /**
   * Returns how much follows a head.
   *
   * @throws IOException if it is none, or says more than may follow
   */
  static int payload(MemorySegment head) throws IOException {
    if (head.byteSize() < BYTES || head.get(INT, 0) != MAGIC) {
      throw new IOException("what came is no message of this protocol");
    }
    int length = head.get(INT, 44);
    if (length < 0 || length > MOST_BYTES) {
      throw new IOException("a message says that " + length + " bytes follow");
    }
    return length;
  }

  /**
   * Checks a message.
   *
   * @throws IOException if it is damaged, or of no known type
   */
  static Type check(MemorySegment head, MemorySegment payload, CRC32C crc) throws IOException {
    if (payload(head) != payload.byteSize()) {
      throw new IOException(
          "a message of " + payload.byteSize() + " bytes says " + payload(head) + " of itself");
    }
    if (head.get(INT, CRC) != checksum(head, payload, crc)) {
      throw new IOException("a message was damaged on its way: its checksum does not fit");
    }
    return type(head);
  }

  /**
   * Returns how much follows the head of a message in one of many, which was checked as a whole.
   *
   * @throws IOException if there is none, or it says more than there is
   */
  static int payload(MemorySegment many, long at) throws IOException {
    long left = many.byteSize() - at - BYTES;
    int length = left < 0 ? 0 : payload(many.asSlice(at, BYTES));
    if (length > left) {
      throw new IOException(
          "a message of many ends " + (length - left) + " bytes behind the end of all");
    }
    return length;
  }

  /** Returns the bytes that a message takes in one of many. */
  static long padded(int payload) {
    return BYTES + (payload + 7L) / 8 * 8;
  }

  static Type type(MemorySegment head) throws IOException {
    return Type.of(head.get(INT, 4));
  }

  static long request(MemorySegment head) {
    return head.get(LONG, 8);
  }

  static int layer(MemorySegment head) {
    return head.get(INT, 16);
  }

  static int slice(MemorySegment head) {
    return head.get(INT, 20);
  }

  static int rows(MemorySegment head) {
    return head.get(INT, 24);
  }

  static int first(MemorySegment head) {
    return head.get(INT, 28);
  }

  static int millis(MemorySegment head) {
    return head.get(INT, 32);
  }

  static long generation(MemorySegment head) {
    return head.get(LONG, 36);
  }

  /** Returns the number that stands for a generation. */
  static long generation(String hex) {
    return Long.parseUnsignedLong(hex, 0, 16, 16);
  }
}
