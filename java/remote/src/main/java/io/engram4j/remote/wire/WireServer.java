package io.engram4j.remote.wire;

import io.engram4j.remote.Driver;
import io.engram4j.remote.Fetch;
import io.engram4j.remote.Manifest;
import io.engram4j.remote.RemoteOptions;
import io.engram4j.remote.RowServer;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;

/** A connection to a server of slices, as the side that asks sees it. */
final class WireServer implements RowServer, Link.Inbox {
  private static final int MOST_REQUESTS = 1024; // under way
  private static final long MOST_ROWS = 1L << 32; // of a slice, whose ids have 32 bits
  private static final long NANOS_PER_MILLI = 1_000_000;
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final String address;
  private final RemoteOptions options;
  private final Handshake handshake;
  private final MessagePool pool = new MessagePool();
  private final CRC32C crc = new CRC32C(); // of what comes, from one thread at a time
  private final @Nullable Fetch[] underWay = new @Nullable Fetch[MOST_REQUESTS];
  private final long[] requests = new long[MOST_REQUESTS];
  private final int[] received = new int[MOST_REQUESTS];
  private final long[] generations = new long[MOST_REQUESTS];
  private long lastRequest;
  private int count;
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
  public void start(Fetch fetch) {
    long generation = Frame.generation(fetch.generation());
    long request;
    try {
      request = register(fetch, generation);
    } catch (IOException e) {
      fetch.failed(e);
      return;
    }
    try {
      Link to = link(); // before a message is taken, which would be lost
      Message message = pool.take();
      long first = fetch.table().slices().get(fetch.slice()).first();
      MemorySegment head = message.begin(Frame.Type.GET, request, 4 * fetch.count());
      Frame.setRows(head, fetch.table().layer(), fetch.slice(), fetch.count(), 0);
      Frame.setGeneration(head, generation);
      long left = (fetch.deadline() - System.nanoTime()) / NANOS_PER_MILLI;
      Frame.setMillis(head, Math.clamp(left, 1, Integer.MAX_VALUE));
      MemorySegment ids = message.payload();
      for (int i = 0; i < fetch.count(); i++) {
        ids.set(INT, 4L * i, (int) (fetch.id(i) - first)); // of 32 bits, unsigned
      }
      to.send(message.seal());
    } catch (IOException | RuntimeException | Error e) {
      Fetch own = remove(request);
      if (own != null) {
        own.failed(e);
      }
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
    if (count == MOST_REQUESTS) {
      throw new IOException(address + " has " + MOST_REQUESTS + " requests under way");
    }
    int at;
    do {
      lastRequest++;
      at = Math.floorMod(lastRequest, MOST_REQUESTS);
    } while (underWay[at] != null);
    underWay[at] = fetch;
    requests[at] = lastRequest;
    received[at] = 0;
    generations[at] = generation;
    count++;
    return lastRequest;
  }

  private synchronized @Nullable Fetch remove(long request) {
    int at = at(request);
    if (at < 0) {
      return null;
    }
    Fetch fetch = underWay[at];
    underWay[at] = null;
    count--;
    return fetch;
  }

  private int at(long request) {
    int at = (int) Long.remainderUnsigned(request, MOST_REQUESTS);
    return underWay[at] != null && requests[at] == request ? at : -1;
  }

  /** Ends requests whose deadline is over: a server that says nothing may never do. */
  private synchronized void sweep() {
    long now = System.nanoTime();
    for (int i = 0; count > 0 && i < MOST_REQUESTS; i++) {
      Fetch fetch = underWay[i];
      if (fetch != null && now - fetch.deadline() > 0) {
        underWay[i] = null;
        count--;
        fetch.failed(new IOException(address + " sent no rows in time"));
      }
    }
  }

  @Override
  public void received(MemorySegment head, MemorySegment payload) throws IOException {
    Frame.Type type = Frame.check(head, payload, crc);
    switch (type) {
      case CHALLENGE -> challenged(payload);
      case MANIFEST -> told(head, payload);
      case ROWS -> rows(head, payload);
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

  private synchronized void rows(MemorySegment head, MemorySegment payload) throws IOException {
    int at = at(Frame.request(head));
    Fetch fetch = at < 0 ? null : underWay[at];
    if (fetch == null) {
      return; // nobody waits any more
    }
    int rowBytes = fetch.table().rowBytes();
    int first = Frame.first(head);
    int rows = Frame.rows(head);
    if (Frame.generation(head) != generations[at]) {
      throw new IOException("rows of another generation came");
    }
    if (Frame.layer(head) != fetch.table().layer()
        || Frame.slice(head) != fetch.slice()
        || first != received[at]
        || rows < 1
        || rows > fetch.count() - first
        || payload.byteSize() != (long) rows * rowBytes) {
      throw new IOException(
          rows + " rows from " + first + " on came in " + payload.byteSize() + " bytes");
    }
    MemorySegment.copy(payload, 0, fetch.rows(), (long) first * rowBytes, payload.byteSize());
    received[at] += rows;
    if (received[at] == fetch.count()) {
      underWay[at] = null;
      count--;
      fetch.done();
    }
  }

  private void refused(MemorySegment head, MemorySegment payload) throws IOException {
    String why = new String(payload.toArray(ValueLayout.JAVA_BYTE), StandardCharsets.UTF_8);
    if (Frame.request(head) == 0) {
      throw new IOException("it refuses: " + why);
    }
    Fetch fetch = remove(Frame.request(head));
    if (fetch != null) {
      fetch.failed(new IOException(address + " refuses: " + why));
    }
  }

  @Override
  public synchronized void closed(IOException why) {
    if (closed == null) {
      closed = why;
    }
    for (int i = 0; i < MOST_REQUESTS; i++) {
      Fetch fetch = underWay[i];
      if (fetch != null) {
        underWay[i] = null;
        count--;
        fetch.failed(lost());
      }
    }
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
