package io.engram4j.remote.wire;

import io.engram4j.host.Buffer;
import java.lang.foreign.MemorySegment;
import java.util.zip.CRC32C;

/** A message to be sent: a head and what follows, in memory that is used again. */
public final class Message {
  private final MessagePool pool;
  private final Buffer buffer = new Buffer();
  private final CRC32C crc = new CRC32C();
  private int bytes;

  Message(MessagePool pool) {
    this.pool = pool;
  }

  /** Begins with a head; returns it. */
  MemorySegment begin(Frame.Type type, long request, int payload) {
    buffer.reserve(Frame.BYTES + (long) payload);
    bytes = payload;
    MemorySegment head = head();
    Frame.begin(head, type, request, payload);
    return head;
  }

  Message seal() {
    Frame.seal(head(), payload(), crc);
    return this;
  }

  /** Returns the head, of fixed length. */
  public MemorySegment head() {
    return buffer.get().asSlice(0, Frame.BYTES);
  }

  /** Returns what follows. */
  public MemorySegment payload() {
    return buffer.get().asSlice(Frame.BYTES, bytes);
  }

  /** Returns head and payload, which lie one after the other. */
  public MemorySegment whole() {
    return buffer.get().asSlice(0, Frame.BYTES + (long) bytes);
  }

  /** The transport needs it no more. */
  public void release() {
    pool.add(this);
  }

  void free() {
    buffer.close();
  }
}
