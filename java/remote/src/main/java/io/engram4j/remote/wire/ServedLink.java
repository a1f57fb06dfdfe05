package io.engram4j.remote.wire;

import io.engram4j.host.Buffer;
import io.engram4j.remote.RowServer;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.RejectedExecutionException;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A connection of a client, as the server of slices sees it. */
final class ServedLink implements Link.Inbox {
  private static final Logger log = LoggerFactory.getLogger(ServedLink.class);
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** Rows of a message; more would keep small ones waiting behind them. */
  private static final int MOST_ROWS = 1024;

  /** Rows of a request; a client's batch has no more. */
  private static final int MOST_WANTED = 1 << 16;

  /**
   * Rows in memory of a request that are gathered by the thread that reads messages: a handover
   * takes longer.
   */
  private static final int MOST_AT_ONCE = 2048;

  /** Bytes of a message that answers several requests: what the thread that reads may write. */
  private static final int MOST_TOGETHER = (64 << 10) - Frame.BYTES;

  private final SliceServer server;
  private final Link link;
  private final Handshake handshake;
  private final CRC32C crc = new CRC32C();
  private final Buffer ids = new Buffer(); // of the thread that reads messages
  private @Nullable Message together; // of the thread that reads messages
  private boolean welcome;

  ServedLink(SliceServer server, Link link, byte[] key) {
    this.server = server;
    this.link = link;
    this.handshake = new Handshake(key);
  }

  @Override
  public void received(MemorySegment head, MemorySegment payload) throws IOException {
    Frame.Type type = Frame.check(head, payload, crc);
    switch (type) {
      case HELLO -> hello(payload);
      case ANSWER -> answered(payload);
      case ASK -> {
        requireWelcome();
        tell(Frame.generation(head) == server.generation());
      }
      case GET -> {
        requireWelcome();
        server.asked();
        get(head, payload, false);
      }
      case MANY -> {
        requireWelcome();
        server.asked();
        many(payload);
      }
      default -> throw new IOException("a client does not say " + type);
    }
  }

  private void requireWelcome() throws IOException {
    if (!welcome) {
      throw new IOException("it asks before it has shown that it has the key");
    }
  }

  private void hello(MemorySegment payload) throws IOException {
    if (payload.byteSize() != Handshake.NONCE) {
      throw new IOException("a nonce of " + payload.byteSize() + " bytes");
    }
    Message message = server.pool().take();
    message.begin(Frame.Type.CHALLENGE, 0, Handshake.NONCE + Handshake.PROOF);
    message.payload().asSlice(0, Handshake.NONCE).copyFrom(handshake.nonce());
    message.payload().asSlice(Handshake.NONCE).copyFrom(handshake.proof((byte) 's', payload));
    link.send(message.seal());
  }

  private void answered(MemorySegment payload) throws IOException {
    handshake.require((byte) 'c', payload);
    welcome = true;
    tell(false);
  }

  private void tell(boolean known) throws IOException {
    byte[] json = known ? new byte[0] : server.manifest().toJson().getBytes(StandardCharsets.UTF_8);
    List<ServedSlice> slices = server.slices();
    Message message = server.pool().take();
    MemorySegment head = message.begin(Frame.Type.MANIFEST, 0, 4 + json.length + 8 * slices.size());
    Frame.setGeneration(head, server.generation());
    MemorySegment payload = message.payload();
    payload.set(INT, 0, json.length);
    MemorySegment.copy(json, 0, payload, ValueLayout.JAVA_BYTE, 4, json.length);
    long at = 4L + json.length;
    for (ServedSlice slice : slices) {
      payload.set(INT, at, slice.layer());
      payload.set(INT, at + 4, slice.slice());
      at += 8;
    }
    link.send(message.seal());
  }

  /** Answers several requests: what is in memory in one message, the rest when it is there. */
  private void many(MemorySegment payload) throws IOException {
    long rows = 0;
    boolean answered = false;
    try {
      for (long at = 0; at < payload.byteSize(); ) {
        int length = Frame.payload(payload, at);
        MemorySegment head = payload.asSlice(at, Frame.BYTES);
        rows += Frame.rows(head);
        if (Frame.type(head) != Frame.Type.GET || rows > RowServer.MOST_TOGETHER) {
          throw new IOException(
              "a client says " + Frame.type(head) + " as one of many, for " + rows + " rows");
        }
        get(head, payload.asSlice(at + Frame.BYTES, length), true);
        at += Frame.padded(length);
      }
      answered = true;
    } finally {
      if (!answered && together != null) {
        together.release();
        together = null;
      }
    }
    sendTogether();
  }

  private void sendTogether() throws IOException {
    Message message = together;
    together = null;
    if (message != null) {
      link.send(message.seal());
    }
  }

  /** Adds rows to the message that answers several requests. */
  private void add(long request, ServedSlice slice, MemorySegment wanted, int count)
      throws IOException {
    int bytes = Math.toIntExact(count * slice.rows().rowBytes());
    if (together != null && together.bytes() + Frame.padded(bytes) > MOST_TOGETHER) {
      sendTogether();
    }
    Message message = together;
    if (message == null) {
      message = server.pool().take();
      together = message;
      message.begin(Frame.Type.MANY, 0, 0);
    }
    MemorySegment rows = message.add(Frame.Type.ROWS, request, bytes);
    Frame.setRows(rows, slice.layer(), slice.slice(), count, 0);
    Frame.setGeneration(rows, server.generation());
    slice.rows().read(wanted, count, rows.asSlice(Frame.BYTES));
    server.served(count);
  }

  private void get(MemorySegment head, MemorySegment payload, boolean oneOfMany)
      throws IOException {
    long request = Frame.request(head);
    int count = Frame.rows(head);
    if (request == 0 || count < 1 || count > MOST_WANTED || payload.byteSize() != 4L * count) {
      throw new IOException(
          "request " + request + " of " + count + " rows has " + payload.byteSize() + " bytes");
    }
    ServedSlice slice = server.slice(Frame.layer(head), Frame.slice(head));
    String refusal = refusal(slice, head, payload);
    if (refusal != null || slice == null) {
      refuse(request, refusal);
      return;
    }
    if (count <= MOST_AT_ONCE && slice.rows().isInMemory()) {
      MemorySegment wanted = widen(payload, count, ids);
      if (oneOfMany && count * slice.rows().rowBytes() <= MOST_TOGETHER - Frame.BYTES) {
        add(request, slice, wanted, count);
      } else {
        send(request, slice, wanted, count);
      }
      return;
    }
    long deadline = System.nanoTime() + Frame.millis(head) * 1_000_000L;
    Buffer own = new Buffer();
    try {
      MemorySegment wanted = widen(payload, count, own);
      server.threads().execute(() -> later(request, slice, own, wanted, count, deadline));
    } catch (RejectedExecutionException e) {
      own.close();
      refuse(request, "it has too much to do");
    }
  }

  private @Nullable String refusal(
      @Nullable ServedSlice slice, MemorySegment head, MemorySegment payload) {
    if (Frame.generation(head) != server.generation()) {
      return "generation "
          + server.manifest().generation().substring(0, 16)
          + " is served, not "
          + String.format("%016x", Frame.generation(head));
    }
    if (slice == null) {
      return "slice " + Frame.slice(head) + " of layer " + Frame.layer(head) + " is not served";
    }
    for (long at = 0; at < payload.byteSize(); at += 4) {
      long row = Integer.toUnsignedLong(payload.get(INT, at));
      if (row >= slice.rows().rows()) {
        return "row " + row + " of a slice of " + slice.rows().rows();
      }
    }
    return null;
  }

  private static MemorySegment widen(MemorySegment payload, int count, Buffer to) {
    MemorySegment wide = to.reserve(8L * count);
    for (int i = 0; i < count; i++) {
      long row = Integer.toUnsignedLong(payload.get(INT, 4L * i));
      wide.setAtIndex(ValueLayout.JAVA_LONG, i, row);
    }
    return wide;
  }

  private void later(
      long request, ServedSlice slice, Buffer own, MemorySegment wanted, int count, long deadline) {
    try (own) {
      if (System.nanoTime() - deadline < 0) { // else nobody waits any more
        send(request, slice, wanted, count);
      }
    } catch (IOException e) {
      log.debug("{}: {}", link.peer(), e.toString());
    } catch (RuntimeException | Error e) {
      log.warn("{}: rows cannot be read", link.peer(), e);
      try {
        refuse(request, e.toString());
      } catch (IOException gone) {
        log.debug("{}: {}", link.peer(), gone.toString());
      }
    }
  }

  private void send(long request, ServedSlice slice, MemorySegment wanted, int count)
      throws IOException {
    int rowBytes = Math.toIntExact(slice.rows().rowBytes());
    int most = Math.max(1, Math.min(MOST_ROWS, Frame.MOST_BYTES / rowBytes));
    for (int first = 0; first < count; first += most) {
      int rows = Math.min(most, count - first);
      Message message = server.pool().take();
      try {
        MemorySegment head = message.begin(Frame.Type.ROWS, request, rows * rowBytes);
        Frame.setRows(head, slice.layer(), slice.slice(), rows, first);
        Frame.setGeneration(head, server.generation());
        slice.rows().read(wanted.asSlice(8L * first), rows, message.payload());
        message.seal();
      } catch (Throwable e) {
        message.release();
        throw e;
      }
      link.send(message);
    }
    server.served(count);
  }

  private void refuse(long request, @Nullable String why) throws IOException {
    byte[] text = String.valueOf(why).getBytes(StandardCharsets.UTF_8);
    Message message = server.pool().take();
    message.begin(Frame.Type.REFUSED, request, text.length);
    MemorySegment.copy(text, 0, message.payload(), ValueLayout.JAVA_BYTE, 0, text.length);
    link.send(message.seal());
  }

  @Override
  public void closed(IOException why) {
    log.info("{} has gone: {}", link.peer(), why.getMessage());
    ids.close();
  }
}
