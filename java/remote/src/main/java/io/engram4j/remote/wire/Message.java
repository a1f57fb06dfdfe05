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

  /**
   * Adds a message to one of many; returns its head and what follows that. What was returned for
   * one before is not there any more.
   */
  MemorySegment add(Frame.Type type, long request, int payload) {
    long at = Frame.BYTES + (long) bytes;
    long end = at + Frame.padded(payload);
    MemorySegment all = buffer.extend(end);
    MemorySegment added = all.asSlice(at, Frame.BYTES + (long) payload);
    all.asSlice(at + added.byteSize(), end - at - added.byteSize()).fill((byte) 0);
    Frame.begin(added, type, request, payload);
    bytes = (int) (end - Frame.BYTES);
    return added;
  }

  /** Returns the bytes that follow the head, so far. */
  int bytes() {
    return bytes;
  }

  Message seal() {
    Frame.setPayload(head(), bytes);
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
