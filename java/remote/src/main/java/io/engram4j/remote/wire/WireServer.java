package io.engram4j.remote.wire;

import io.engram4j.remote.Driver;
import io.engram4j.remote.Fetch;
import io.engram4j.remote.Fetches;
import io.engram4j.remote.Manifest;
import io.engram4j.remote.RemoteOptions;
import io.engram4j.remote.RowServer;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.function.Supplier;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;

/** A connection to a server of slices, as the side that asks sees it. */
final class WireServer implements RowServer, Link.Inbox {
  private static final long MOST_ROWS = 1L << 32; // of a slice, whose ids have 32 bits
  private static final long NANOS_PER_MILLI = 1_000_000;
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final String address;
  private final RemoteOptions options;
  private final Handshake handshake;
  private final MessagePool pool = new MessagePool();
  private final CRC32C crc = new CRC32C(); // of what comes, from one thread at a time
  private final Requests requests = new Requests();
  private final Supplier<IOException> late;
  private @Nullable Link link;
  private boolean welcome; // both sides have the key
  private @Nullable Manifest manifest;
  private long known; // its generation
  private volatile long[] served = {}; // layers with slices, ascending
  private long answers; // to what is asked of the manifest
  private @Nullable IOException closed;
  private volatile @Nullable Driver driver;

  private WireServer(String address, byte[] key, RemoteOptions options) {
    this.address = address;
    this.options = options;
    this.handshake = new Handshake(key);
    this.late = () -> new IOException(address + " sent no rows in time");
  }

  /**
   * Connects, and asks what is served.
   *
   * @throws IOException if nobody answers in time, or has another key
   */
  static WireServer connect(
      Transport transport, String shown, WireAddress to, RemoteOptions options) throws IOException {
    WireServer server = new WireServer(shown, to.key(), options);
    try {
      Link link = transport.connect(to.remote(), to.settings(), server);
      synchronized (server) {
        server.link = link;
        server.driver = link.driver();
      }
      Message hello = server.pool.take();
      hello.begin(Frame.Type.HELLO, 0, Handshake.NONCE);
      hello.payload().copyFrom(server.handshake.nonce());
      link.send(hello.seal());
      server.await(0); // the answer to its key is what is served
      return server;
    } catch (Throwable e) {
      server.close();
      throw e;
    }
  }

  /** Waits for the manifest to be told once more often than it was. */
  private synchronized void await(long answersBefore) throws IOException {
    long end = System.nanoTime() + options.deadline().toNanos();
    while (answers == answersBefore && closed == null) {
      sweep();
      long millis = (end - System.nanoTime()) / NANOS_PER_MILLI;
      if (millis <= 0) {
        throw new IOException(
            address + " does not answer within " + options.deadline().toMillis() + " ms");
      }
      try {
        wait(Math.min(millis, 20));
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new IOException(address + ": interrupted while it was asked", e);
      }
    }
    if (answers == answersBefore) {
      throw lost();
    }
  }

  private IOException lost() {
    IOException why = closed;
    return why == null
        ? new IOException(address + " is not connected")
        : new IOException(address + ": " + why.getMessage(), why);
  }

  @Override
  public Manifest manifest() throws IOException {
    long before;
    synchronized (this) {
      before = answers;
    }
    ask();
    await(before);
    synchronized (this) {
      if (manifest == null) {
        throw lost();
      }
      return manifest;
    }
  }

  private void ask() throws IOException {
    Link to = link(); // before a message is taken, which would be lost
    Message message = pool.take();
    MemorySegment head = message.begin(Frame.Type.ASK, 0, 0);
    synchronized (this) {
      Frame.setGeneration(head, known);
    }
    to.send(message.seal());
  }

  private synchronized Link link() throws IOException {
    if (link == null || closed != null) {
      throw lost();
    }
    return link;
  }

  @Override
  public boolean serves(int layer, int slice) {
    return Arrays.binarySearch(served, key(layer, slice)) >= 0;
  }

  private static long key(int layer, int slice) {
    return (long) layer << 32 | slice;
  }

  @Override
  public @Nullable Driver driver() {
    return driver;
  }

  @Override
  public void start(Fetches fetches) {
    int registered = 0;
    try {
      Link to = link(); // before a message is taken, which would be lost
      for (Fetch fetch = fetches.first(); fetch != null; fetch = fetches.after(fetch)) {
        fetch.setTag(register(fetch, Frame.generation(fetch.generation())));
        registered++;
      }
      to.send(message(fetches));
      registered = 0; // they have begun
    } catch (IOException | RuntimeException | Error e) {
      for (; registered > 0; registered--) { // if the connection has not ended them
        Fetch own = requests.remove(fetches.remove().tag());
        if (own != null) {
          own.failed(e);
        }
      }
      fetches.fail(e);
    }
    while (!fetches.isEmpty()) {
      fetches.remove();
    }
  }

  private Message message(Fetches fetches) {
    Message message = pool.take();
    try {
      boolean many = fetches.size() > 1;
      if (many) {
        message.begin(Frame.Type.MANY, 0, 0);
      }
      for (Fetch fetch = fetches.first(); fetch != null; fetch = fetches.after(fetch)) {
        int bytes = 4 * fetch.count();
        if (many) {
          MemorySegment get = message.add(Frame.Type.GET, fetch.tag(), bytes);
          ask(fetch, get, get.asSlice(Frame.BYTES));
        } else {
          MemorySegment head = message.begin(Frame.Type.GET, fetch.tag(), bytes);
          ask(fetch, head, message.payload());
        }
      }
      return message.seal();
    } catch (Throwable e) {
      message.release();
      throw e;
    }
  }

  private static void ask(Fetch fetch, MemorySegment head, MemorySegment ids) {
    long first = fetch.table().slices().get(fetch.slice()).first();
    Frame.setRows(head, fetch.table().layer(), fetch.slice(), fetch.count(), 0);
    Frame.setGeneration(head, Frame.generation(fetch.generation()));
    long left = (fetch.deadline() - System.nanoTime()) / NANOS_PER_MILLI;
    Frame.setMillis(head, Math.clamp(left, 1, Integer.MAX_VALUE));
    for (int i = 0; i < fetch.count(); i++) {
      ids.set(INT, 4L * i, (int) (fetch.id(i) - first)); // of 32 bits, unsigned
    }
  }

  private synchronized long register(Fetch fetch, long generation) throws IOException {
    long rows = fetch.table().slices().get(fetch.slice()).rows();
    if (rows > MOST_ROWS) {
      throw new IOException(
          "slice "
              + fetch.slice()
              + " of layer "
              + fetch.table().layer()
              + " has "
              + rows
              + " rows, but ids in messages go to "
              + MOST_ROWS
              + ": cut it into more slices");
    }
    if (closed != null) {
      throw lost();
    }
    sweep();
    long request = requests.add(fetch, generation);
    if (request == 0) {
      throw new IOException(address + " has " + Requests.MOST + " requests under way");
    }
    return request;
  }

  private void sweep() {
    requests.sweep(late);
  }

  @Override
  public void received(MemorySegment head, MemorySegment payload) throws IOException {
    Frame.Type type = Frame.check(head, payload, crc);
    switch (type) {
      case CHALLENGE -> challenged(payload);
      case MANIFEST -> told(head, payload);
      case MANY -> many(payload);
      default -> one(type, head, payload);
    }
  }

  private void many(MemorySegment payload) throws IOException {
    for (long at = 0; at < payload.byteSize(); ) {
      int length = Frame.payload(payload, at);
      MemorySegment head = payload.asSlice(at, Frame.BYTES);
      one(Frame.type(head), head, payload.asSlice(at + Frame.BYTES, length));
      at += Frame.padded(length);
    }
  }

  /** What a server says for itself, or as one of many. */
  private void one(Frame.Type type, MemorySegment head, MemorySegment payload) throws IOException {
    switch (type) {
      case ROWS -> requests.rows(head, payload);
      case REFUSED -> refused(head, payload);
      default -> throw new IOException("a server does not say " + type);
    }
  }

  private void challenged(MemorySegment payload) throws IOException {
    if (payload.byteSize() != Handshake.NONCE + Handshake.PROOF) {
      throw new IOException("a challenge of " + payload.byteSize() + " bytes");
    }
    handshake.require((byte) 's', payload.asSlice(Handshake.NONCE));
    Message answer = pool.take();
    answer.begin(Frame.Type.ANSWER, 0, Handshake.PROOF);
    answer.payload().copyFrom(handshake.proof((byte) 'c', payload.asSlice(0, Handshake.NONCE)));
    Link to;
    synchronized (this) {
      welcome = true;
      to = link;
    }
    if (to != null) {
      to.send(answer.seal());
    }
  }

  /** What is served: bytes of the manifest, the manifest or nothing, then layers and slices. */
  private synchronized void told(MemorySegment head, MemorySegment payload) throws IOException {
    if (!welcome) {
      throw new IOException("it did not show that it has the key");
    }
    long length = payload.byteSize() < 4 ? -1 : payload.get(INT, 0);
    if (length < 0 || 4 + length > payload.byteSize() || (payload.byteSize() - length) % 8 != 4) {
      throw new IOException("a manifest of " + length + " bytes in " + payload.byteSize());
    }
    if (length > 0) {
      byte[] json = payload.asSlice(4, length).toArray(ValueLayout.JAVA_BYTE);
      manifest = Manifest.parse(address, new String(json, StandardCharsets.UTF_8));
      known = Frame.generation(manifest.generation());
    }
    if (manifest == null || known != Frame.generation(head)) {
      throw new IOException("it serves another generation than its manifest has");
    }
    long[] all = new long[(int) ((payload.byteSize() - length) / 8)];
    for (int i = 0; i < all.length; i++) {
      long at = 4 + length + 8L * i;
      all[i] = key(payload.get(INT, at), payload.get(INT, at + 4));
    }
    Arrays.sort(all);
    served = all;
    answers++;
    notifyAll();
  }

  private void refused(MemorySegment head, MemorySegment payload) throws IOException {
    String why = new String(payload.toArray(ValueLayout.JAVA_BYTE), StandardCharsets.UTF_8);
    if (Frame.request(head) == 0) {
      throw new IOException("it refuses: " + why);
    }
    Fetch fetch = requests.remove(Frame.request(head));
    if (fetch != null) {
      fetch.failed(new IOException(address + " refuses: " + why));
    }
  }

  @Override
  public synchronized void closed(IOException why) {
    if (closed == null) {
      closed = why;
    }
    requests.fail(this::lost);
    notifyAll();
  }

  @Override
  public void close() {
    Link to;
    synchronized (this) {
      to = link;
    }
    if (to != null) {
      to.close();
    }
    closed(new IOException("it was closed"));
    pool.close();
  }
}
