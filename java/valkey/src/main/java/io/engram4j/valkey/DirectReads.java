package io.engram4j.valkey;

import io.engram4j.remote.Fetch;
import java.io.Closeable;
import java.io.IOException;
import java.net.Socket;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import redis.clients.jedis.CommandArguments;
import redis.clients.jedis.Connection;
import redis.clients.jedis.DefaultJedisSocketFactory;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.JedisClientConfig;
import redis.clients.jedis.JedisSocketFactory;
import redis.clients.jedis.Protocol;
import redis.clients.jedis.exceptions.JedisException;

/**
 * Connections on which the thread that waits for a few rows asks for them itself, and looks for the
 * reply for a while before it leaves that to another thread: of 300 us that 48 rows took, most went
 * to waking threads and the cores under them (docs/remote.md). Thread-safe.
 */
final class DirectReads implements Closeable {
  /** Rows whose commands and replies a socket's buffers hold. */
  static final int MOST_ROWS = 128;

  /** How long a reply is looked for, in ns: less than any request waits before another is asked. */
  private static final long LOOK = 200_000;

  private final HostAndPort host;
  private final JedisClientConfig config;
  private final ArrayDeque<Line> idle = new ArrayDeque<>();
  private final int most;
  private int made;
  private boolean closed;

  /**
   * No connections yet.
   *
   * @param most how many there may be
   */
  DirectReads(HostAndPort host, JedisClientConfig config, int most) {
    this.host = host;
    this.config = config;
    this.most = most;
  }

  /** A connection that tells what has come, and the socket that it has. */
  static final class Line extends Connection {
    private final Opened opened;

    private Line(Opened opened, JedisClientConfig config) {
      super(opened, config);
      this.opened = opened;
    }

    /** Asks for rows when it is flushed next. */
    void ask(Fetch fetch, RowValues values) {
      for (int i = 0; i < fetch.count(); i++) {
        long row = fetch.id(i);
        long at = values.offsetOf(row);
        sendCommand(
            new CommandArguments(Protocol.Command.GETRANGE)
                .key(values.key(values.valueOf(row)))
                .add(at)
                .add(at + values.stride() - 1));
      }
    }

    @Override
    public void flush() { // which is not for all
      super.flush();
    }

    /**
     * Looks until a whole reply lies in the socket, so that to read it waits for nothing. Yields:
     * the server may wait for this very core, and of threads that spun every fifth waited in vain.
     */
    @SuppressWarnings("ThreadPriorityCheck")
    boolean hasCome(int bytes) {
      Socket socket = opened.socket;
      long began = System.nanoTime();
      try {
        while (socket != null && System.nanoTime() - began < LOOK) {
          if (socket.getInputStream().available() >= bytes) {
            return true;
          }
          Thread.yield();
        }
      } catch (IOException e) {
        setBroken(); // and who reads learns of it
      }
      return false;
    }
  }

  /** Keeps the socket that a connection is made with. */
  private static final class Opened implements JedisSocketFactory {
    private final DefaultJedisSocketFactory factory;
    private @Nullable Socket socket;

    Opened(HostAndPort host, JedisClientConfig config) {
      this.factory = new DefaultJedisSocketFactory(host, config);
    }

    @Override
    public Socket createSocket() {
      Socket made = factory.createSocket();
      socket = made;
      return made;
    }
  }

  /** Takes a connection that nobody uses, or null; it was made before, so this never waits. */
  synchronized @Nullable Line take() {
    return idle.poll();
  }

  /**
   * Makes a connection for those who come later, if none is idle. It waits for the server, which
   * may be frozen: a thread that wants rows must ask another replica meanwhile, so it is never that
   * one.
   */
  void makeOne() {
    synchronized (this) {
      if (closed || !idle.isEmpty() || made == most) {
        return;
      }
      made++;
    }
    Line line;
    try {
      line = new Line(new Opened(host, config), config);
    } catch (Throwable e) {
      synchronized (this) {
        made--;
      }
      throw e;
    }
    add(line);
  }

  /** Gives one back that has no reply under way. */
  void add(Line line) {
    synchronized (this) {
      if (!closed) {
        idle.push(line);
        return;
      }
    }
    end(line);
  }

  /** Ends one that failed, and all idle ones: of a server that started again none is good. */
  void failed(Line line) {
    List<Line> all;
    synchronized (this) {
      all = new ArrayList<>(idle);
      idle.clear();
      made -= all.size() + 1;
    }
    end(line);
    all.forEach(DirectReads::end);
  }

  private static void end(Line line) {
    try {
      line.disconnect();
    } catch (JedisException e) {
      line.setBroken(); // it was, before
    }
  }

  @Override
  public void close() {
    List<Line> all;
    synchronized (this) {
      closed = true;
      all = new ArrayList<>(idle);
      idle.clear();
    }
    all.forEach(DirectReads::end);
  }
}
