package io.engram4j.remote.wire;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.hf.EngramModels;
import io.engram4j.hf.ModelFiles;
import io.engram4j.remote.RemoteOptions;
import io.engram4j.remote.Sharder;
import io.engram4j.remote.SlicedTables;
import io.engram4j.table.Placement;
import io.engram4j.table.RowSource;
import io.engram4j.table.Table;
import io.engram4j.table.TableOptions;
import io.engram4j.tck.RandomModel;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicLong;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Messages that are cut, oversized, damaged or senseless. */
class FrameFuzzTest {
  /** Fewer than are documented, for time: -Dtest.extra=-Dengram.frames=10000000 runs those. */
  private static final int FRAMES = Integer.getInteger("engram.frames", 300_000);

  private static final byte[] KEY =
      "0123456789abcdef".getBytes(java.nio.charset.StandardCharsets.US_ASCII);

  @TempDir private Path directory;
  private Arena arena;
  private Table truth;
  private SliceServer server;

  @BeforeEach
  void serve() throws IOException {
    Path path = Files.createDirectory(directory.resolve("model"));
    RandomModel.small(32, 2, List.of(1, 3)).write(path, bytes -> {});
    ModelFiles model = EngramModels.read(path);
    arena = Arena.ofShared();
    truth = model.tableFile(1).map(arena);
    Path slices = directory.resolve("slices");
    new Sharder(model, "random", "1", 1).shard(slices, 2, bytes -> {});
    server =
        new SliceServer(
            slices, (layer, slice) -> true, TableOptions.defaults().placement(Placement.MAPPED), 1);
  }

  @AfterEach
  void close() throws IOException {
    server.close();
    arena.close();
  }

  /** A link whose messages are kept. */
  private static final class Kept implements Link {
    private final List<byte[]> sent = new ArrayList<>();

    @Override
    public void send(Message message) {
      sent.add(message.whole().toArray(ValueLayout.JAVA_BYTE));
      message.release();
    }

    @Override
    public String peer() {
      return "a test";
    }

    @Override
    public void close() {}
  }

  private static void give(ServedLink to, MemorySegment head, MemorySegment payload)
      throws IOException {
    to.received(head, payload);
  }

  /** A link that has shown that it has the key. */
  private ServedLink welcomed(Kept link) throws IOException {
    ServedLink served = new ServedLink(server, link, KEY);
    Handshake handshake = new Handshake(KEY);
    CRC32C crc = new CRC32C();
    try (Arena own = Arena.ofConfined()) {
      MemorySegment head = own.allocate(Frame.BYTES, 8);
      MemorySegment payload = own.allocate(Handshake.NONCE);
      payload.copyFrom(handshake.nonce());
      Frame.begin(head, Frame.Type.HELLO, 0, Handshake.NONCE);
      Frame.seal(head, payload, crc);
      give(served, head, payload);
      MemorySegment challenge = MemorySegment.ofArray(link.sent.removeFirst());
      MemorySegment nonce = challenge.asSlice(Frame.BYTES, Handshake.NONCE);
      payload.copyFrom(handshake.proof((byte) 'c', nonce));
      Frame.begin(head, Frame.Type.ANSWER, 0, Handshake.PROOF);
      Frame.seal(head, payload, crc);
      give(served, head, payload);
    }
    assertEquals(1, link.sent.size());
    link.sent.clear();
    return served;
  }

  /** Asks for random rows; returns how much follows the head. */
  private int get(SplittableRandom random, MemorySegment head, MemorySegment ids, long request) {
    int count = 1 + random.nextInt(32);
    Frame.begin(head, Frame.Type.GET, request, 4 * count);
    Frame.setRows(head, 1, 0, count, 0);
    Frame.setGeneration(head, server.generation());
    Frame.setMillis(head, 1000);
    for (int j = 0; j < count; j++) {
      ids.setAtIndex(ValueLayout.JAVA_INT, j, random.nextInt((int) truth.rows()));
    }
    return 4 * count;
  }

  @Test
  void aServerTakesNothingButMessages() throws IOException {
    SplittableRandom random = new SplittableRandom(1);
    CRC32C crc = new CRC32C();
    int refused = 0;
    int closed = 0;
    int right = 0;
    Kept link = new Kept();
    ServedLink served = welcomed(link);
    try (Arena own = Arena.ofConfined()) {
      MemorySegment head = own.allocate(Frame.BYTES, 8);
      MemorySegment room = own.allocate(1024, 8);
      for (int i = 0; i < FRAMES; i++) {
        MemorySegment payload;
        if (random.nextInt(3) == 0) {
          int bytes = 0;
          int requests = 1 + random.nextInt(3);
          for (int j = 0; j < requests; j++) {
            MemorySegment one = room.asSlice(bytes, room.byteSize() - bytes);
            int ids = get(random, one, one.asSlice(Frame.BYTES), 3L * i + j + 1);
            bytes += (int) Frame.padded(ids);
          }
          Frame.begin(head, Frame.Type.MANY, 0, bytes);
          payload = room.asSlice(0, bytes);
        } else {
          payload = room.asSlice(0, get(random, head, room, 3L * i + 1));
        }
        boolean sealedAfter = random.nextBoolean();
        if (!sealedAfter) {
          Frame.seal(head, payload, crc);
        }
        byte[] before = head.toArray(ValueLayout.JAVA_BYTE);
        byte[] beforeIt = payload.toArray(ValueLayout.JAVA_BYTE);
        int changes = random.nextInt(4);
        for (int change = 0; change < changes; change++) {
          MemorySegment where = random.nextInt(3) == 0 ? payload : head;
          long at = random.nextLong(where.byteSize());
          byte value = where.get(ValueLayout.JAVA_BYTE, at);
          byte other =
              random.nextBoolean()
                  ? (byte) (value ^ 1 << random.nextInt(8))
                  : (byte) random.nextInt();
          changes += other == value ? 1 : 0;
          where.set(ValueLayout.JAVA_BYTE, at, other);
        }
        MemorySegment given =
            random.nextInt(8) == 0 ? room.asSlice(0, 4L * random.nextInt(256)) : payload;
        if (sealedAfter) {
          Frame.seal(head, given, crc);
        }
        boolean whole = given.byteSize() == payload.byteSize();
        boolean same =
            whole
                && MemorySegment.ofArray(beforeIt).mismatch(payload) < 0
                && MemorySegment.ofArray(before)
                        .asSlice(0, Frame.BYTES - 4)
                        .mismatch(head.asSlice(0, Frame.BYTES - 4))
                    < 0
                && (sealedAfter || MemorySegment.ofArray(before).mismatch(head) < 0);
        try {
          give(served, head, given);
          for (byte[] reply : link.sent) {
            Frame.Type type =
                Frame.check(
                    MemorySegment.ofArray(reply).asSlice(0, Frame.BYTES),
                    MemorySegment.ofArray(reply).asSlice(Frame.BYTES),
                    crc);
            if ((type == Frame.Type.ROWS || type == Frame.Type.MANY) && same) {
              right++;
            } else if (type == Frame.Type.REFUSED) {
              refused++;
            }
          }
          assertTrue(sealedAfter || same, "a damaged message was taken");
        } catch (IOException e) {
          assertTrue(!same, e.toString());
          closed++;
          if (closed % 64 == 0) { // between, the next message is as good as over a new link
            link = new Kept();
            served = welcomed(link);
          }
        }
        link.sent.clear();
      }
    }
    System.out.printf(
        "%,d messages: %,d right, %,d refused, %,d closed their link%n",
        FRAMES, right, refused, closed);
    assertTrue(right > FRAMES / 50 && refused > FRAMES / 50 && closed > FRAMES / 10);
  }

  @Test
  void whoHasNotShownTheKeyGetsNothing() {
    Kept link = new Kept();
    ServedLink served = new ServedLink(server, link, KEY);
    CRC32C crc = new CRC32C();
    try (Arena own = Arena.ofConfined()) {
      MemorySegment head = own.allocate(Frame.BYTES, 8);
      MemorySegment payload = own.allocate(Handshake.PROOF);
      for (Frame.Type type : Frame.Type.values()) {
        if (type != Frame.Type.HELLO) {
          Frame.begin(head, type, 1, Handshake.PROOF);
          Frame.seal(head, payload, crc);
          assertThrows(IOException.class, () -> give(served, head, payload), "" + type);
        }
      }
    }
    assertTrue(link.sent.isEmpty());
  }

  /** Carries bytes to a server and back, and damages what comes back. */
  private static final class DamagingProxy implements AutoCloseable {
    private final ServerSocket listener;
    private final int port;
    private final AtomicLong damages = new AtomicLong();

    DamagingProxy(int port) throws IOException {
      this.port = port;
      this.listener = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
      Thread.ofVirtual().start(this::accept);
    }

    private void accept() {
      for (int i = 0; !listener.isClosed(); i++) {
        try {
          Socket client = listener.accept();
          Socket to = new Socket(listener.getInetAddress(), port);
          SplittableRandom random = new SplittableRandom(i);
          Thread.ofVirtual().start(() -> carry(client, to, null));
          Thread.ofVirtual().start(() -> carry(to, client, random));
        } catch (IOException e) {
          return;
        }
      }
    }

    private void carry(
        Socket from, Socket to, @org.jspecify.annotations.Nullable SplittableRandom random) {
      byte[] bytes = new byte[4096];
      try (from;
          to) {
        InputStream in = from.getInputStream();
        OutputStream out = to.getOutputStream();
        long carried = 0;
        for (int some = in.read(bytes); some > 0; some = in.read(bytes)) {
          carried += some;
          if (random != null && carried > 5_000 && random.nextInt(4) == 0) {
            damages.incrementAndGet();
            switch (random.nextInt(3)) {
              case 0 -> bytes[random.nextInt(some)] ^= (byte) (1 << random.nextInt(8));
              case 1 -> some = random.nextInt(some); // cut
              default -> out.write(bytes, 0, random.nextInt(some)); // more than was sent
            }
          }
          out.write(bytes, 0, some);
        }
      } catch (IOException e) {
        return; // one side has closed
      }
    }

    @Override
    public void close() throws IOException {
      listener.close();
    }
  }

  @Test
  void damagedRepliesAreNoRows() throws IOException {
    int port = server.listen("engram://127.0.0.1:0", false);
    RemoteOptions options =
        RemoteOptions.defaults().refresh(Duration.ofMillis(20)).deadline(Duration.ofSeconds(5));
    try (DamagingProxy proxy = new DamagingProxy(port)) {
      String addresses =
          "engram://127.0.0.1:" + proxy.listener.getLocalPort() + ",engram://127.0.0.1:" + port;
      SplittableRandom random = new SplittableRandom(7);
      try (SlicedTables tables = SlicedTables.connect(addresses, options)) {
        RowSource source = tables.open(1).source();
        long end = System.nanoTime() + Duration.ofMinutes(2).toNanos();
        while (proxy.damages.get() < 15 && System.nanoTime() - end < 0) {
          long[] ids = random.longs(1 + random.nextInt(200), 0, truth.rows()).toArray();
          assertArrayEquals(rows(truth::read, ids), rows(source, ids));
        }
        System.out.printf(
            "%d damaged replies, %d requests failed: no row wrong%n",
            proxy.damages.get(), tables.failures());
        assertTrue(proxy.damages.get() >= 15, proxy.damages.get() + " damages");
        assertTrue(tables.failures() > 0, tables.failures() + " failures");
      }
    }
  }

  private byte[] rows(RowSource source, long... ids) {
    try (Arena own = Arena.ofConfined()) {
      MemorySegment to = own.allocate(ids.length * truth.rowBytes());
      source.read(own.allocateFrom(ValueLayout.JAVA_LONG, ids), ids.length, to);
      return to.toArray(ValueLayout.JAVA_BYTE);
    }
  }
}
