package io.engram4j.remote.wire;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Messages over the JDK's sockets: for any platform, and where UCX is not installed. */
final class SocketTransport implements Transport {
  private static final Logger log = LoggerFactory.getLogger(SocketTransport.class);
  private static final int CONNECT_MILLIS = 2000;

  private static void requireNone(Map<String, String> settings) {
    if (!settings.isEmpty()) {
      throw new IllegalArgumentException(
          "an address of sockets takes key, but not " + settings.keySet());
    }
  }

  /** Small messages go at once, and a side that is gone without a word is noticed some day. */
  private static void prepare(SocketChannel channel) throws IOException {
    channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
    channel.setOption(StandardSocketOptions.SO_KEEPALIVE, true);
  }

  @Override
  public Link connect(InetSocketAddress to, Map<String, String> settings, Link.Inbox inbox)
      throws IOException {
    requireNone(settings);
    SocketChannel channel = SocketChannel.open();
    try {
      channel.socket().connect(to, CONNECT_MILLIS);
      prepare(channel);
      SocketLink link = new SocketLink(channel, to.toString());
      link.start(inbox);
      return link;
    } catch (Throwable e) {
      channel.close();
      throw e;
    }
  }

  @Override
  public Listener listen(
      InetSocketAddress at, Map<String, String> settings, Function<Link, Link.Inbox> accept)
      throws IOException {
    requireNone(settings);
    ServerSocketChannel channel = ServerSocketChannel.open();
    try {
      channel.setOption(StandardSocketOptions.SO_REUSEADDR, true);
      channel.bind(at);
      return new Listening(channel, accept);
    } catch (Throwable e) {
      channel.close();
      throw e;
    }
  }

  /** Accepts clients, on a thread. */
  private static final class Listening implements Listener {
    private final ServerSocketChannel channel;
    private final Function<Link, Link.Inbox> accept;
    private final Set<SocketLink> links = ConcurrentHashMap.newKeySet();

    Listening(ServerSocketChannel channel, Function<Link, Link.Inbox> accept) {
      this.channel = channel;
      this.accept = accept;
      Thread.ofPlatform().daemon().name("engram-accept-" + port()).start(this::run);
    }

    private void run() {
      while (channel.isOpen()) {
        try {
          take(channel.accept());
        } catch (ClosedChannelException e) {
          break;
        } catch (IOException | RuntimeException | Error e) { // of one client; others may come
          log.warn("a client cannot be accepted: {}", e.toString());
          java.util.concurrent.locks.LockSupport.parkNanos(10_000_000); // no handles, perhaps
        }
      }
      links.forEach(SocketLink::close);
    }

    private void take(SocketChannel client) throws IOException {
      try {
        prepare(client);
        SocketLink link = new SocketLink(client, client.getRemoteAddress().toString());
        links.removeIf(SocketLink::isClosed);
        links.add(link);
        link.start(accept.apply(link));
      } catch (Throwable e) {
        client.close();
        throw e;
      }
    }

    @Override
    public int port() {
      return channel.socket().getLocalPort();
    }

    @Override
    public void close() {
      try {
        channel.close();
      } catch (IOException e) {
        log.warn("closing the port", e);
      }
      links.forEach(SocketLink::closeAndWait);
    }
  }
}
