package io.engram4j.remote.wire;

import io.engram4j.host.Buffer;
import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.util.ArrayDeque;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A link over a socket. A thread reads; small messages are written by those who send them, and
 * large ones by a thread of the link, so that a client that does not read keeps nobody else
 * waiting.
 */
final class SocketLink implements Link {
  private static final Logger log = LoggerFactory.getLogger(SocketLink.class);
  private static final int SMALL = 64 << 10;
  private static final long MOST_WAITING = 256L << 20; // bytes that the other side does not read

  private final SocketChannel channel;
  private final String peer;
  private final Object writes = new Object();
  private final ArrayDeque<Message> waiting = new ArrayDeque<>();
  private final Thread reader;
  private final Thread writer;
  private volatile Link.Inbox inbox = NOBODY;
  private long waitingBytes;
  private boolean closed;

  private static final Inbox NOBODY =
      new Inbox() {
        @Override
        public void received(MemorySegment head, MemorySegment payload) {}

        @Override
        public void closed(IOException why) {}
      };

  SocketLink(SocketChannel channel, String peer) {
    this.channel = channel;
    this.peer = peer;
    this.reader = Thread.ofPlatform().daemon().name("engram-read-" + peer).unstarted(this::read);
    this.writer = Thread.ofVirtual().name("engram-write-" + peer).unstarted(this::write);
  }

  void start(Inbox to) {
    inbox = to;
    reader.start();
    writer.start();
  }

  @Override
  public String peer() {
    return peer + " over a socket";
  }

  boolean isClosed() {
    synchronized (waiting) {
      return closed;
    }
  }

  @Override
  public void send(Message message) throws IOException {
    long bytes = message.whole().byteSize();
    synchronized (waiting) {
      if (closed) {
        message.release();
        throw new IOException(peer + " is not connected");
      }
      // a thread that is interrupted would close the channel by writing
      boolean interrupted = Thread.currentThread().isInterrupted();
      if (bytes > SMALL || !waiting.isEmpty() || interrupted) {
        waiting.add(message);
        waitingBytes += bytes;
        waiting.notifyAll();
        if (waitingBytes > MOST_WAITING) {
          log.warn("{} does not read: {} bytes wait for it", peer, waitingBytes);
          close();
        }
        return;
      }
    }
    try {
      put(message);
    } finally {
      message.release();
    }
  }

  private void put(Message message) throws IOException {
    ByteBuffer bytes = message.whole().asByteBuffer();
    synchronized (writes) {
      while (bytes.hasRemaining()) {
        channel.write(bytes);
      }
    }
  }

  private void write() {
    try {
      while (true) {
        Message message;
        synchronized (waiting) {
          while (waiting.isEmpty() && !closed) {
            waiting.wait();
          }
          if (closed) {
            return;
          }
          message = waiting.element(); // stays there, so that small ones keep behind it
        }
        put(message);
        synchronized (waiting) {
          waiting.remove();
          waitingBytes -= message.whole().byteSize();
        }
        message.release();
      }
    } catch (IOException e) {
      log.debug("{}: {}", peer, e.toString());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } finally {
      close();
      synchronized (waiting) {
        waiting.forEach(Message::release);
        waiting.clear();
      }
    }
  }

  private void read() {
    IOException why = new EOFException("the other side closed it");
    try (Buffer buffer = new Buffer()) {
      while (true) {
        MemorySegment head = buffer.reserve(Frame.BYTES).asSlice(0, Frame.BYTES);
        if (!fill(head)) {
          break;
        }
        int payload = Frame.payload(head);
        MemorySegment whole = buffer.extend(Frame.BYTES + (long) payload);
        MemorySegment rest = whole.asSlice(Frame.BYTES, payload);
        if (!fill(rest)) {
          break;
        }
        inbox.received(whole.asSlice(0, Frame.BYTES), rest);
      }
    } catch (IOException e) {
      why = e;
    } catch (RuntimeException | Error e) {
      log.warn("{}: a message cannot be taken", peer, e);
      why = new IOException(e);
    }
    close();
    inbox.closed(why);
  }

  /** Returns whether all came. */
  private boolean fill(MemorySegment to) throws IOException {
    ByteBuffer bytes = to.asByteBuffer();
    while (bytes.hasRemaining()) {
      if (channel.read(bytes) < 0) {
        return false;
      }
    }
    return true;
  }

  @Override
  public void close() {
    synchronized (waiting) {
      closed = true;
      waiting.notifyAll();
    }
    try {
      channel.close();
    } catch (IOException e) {
      log.debug("{}", peer, e);
    }
  }

  /** Closes, and waits until nobody uses what the messages were read into. */
  void closeAndWait() {
    close();
    if (Thread.currentThread() == reader) {
      return;
    }
    try {
      reader.join();
      writer.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
