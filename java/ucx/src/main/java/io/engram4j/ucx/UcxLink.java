package io.engram4j.ucx;

import io.engram4j.remote.Driver;
import io.engram4j.remote.wire.Link;
import io.engram4j.remote.wire.Message;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.List;
import java.util.Set;
import java.util.function.LongPredicate;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A connection of UCX; what changes of it does under its worker's lock. */
final class UcxLink implements Link {
  private static final Logger log = LoggerFactory.getLogger(UcxLink.class);

  private static final long MOST_SENDING = 256L << 20; // bytes that the other side does not read

  private final UcxWorker worker;
  private final MemorySegment endpoint;
  private final String name;
  private final Set<String> demanded;
  private @Nullable Inbox inbox;
  private @Nullable IOException why;
  private volatile boolean broken;
  private boolean shown;
  private final ArrayDeque<Sending> sending = new ArrayDeque<>();
  private long bytes; // of these

  /** A message that UCX still needs. */
  record Sending(long request, Message message) {}

  UcxLink(
      UcxWorker worker,
      MemorySegment endpoint,
      String name,
      String networks,
      @Nullable Inbox inbox) {
    this.worker = worker;
    this.endpoint = endpoint;
    this.name = name;
    this.demanded = networks.isEmpty() ? Set.of() : Set.of(networks.split(",", -1));
    this.inbox = inbox;
  }

  MemorySegment endpoint() {
    return endpoint;
  }

  void setInbox(Inbox to) {
    inbox = to;
  }

  /** Returns who hears of what comes. */
  Inbox inbox() {
    Inbox to = inbox;
    if (to == null) {
      throw new IllegalStateException("nobody hears of " + name);
    }
    return to;
  }

  /**
   * Hands a message on.
   *
   * @throws IOException if it is none, or came over TCP where other networks were demanded
   */
  void received(MemorySegment head, MemorySegment payload) throws IOException {
    if (!shown) {
      shown = true;
      show();
    }
    inbox().received(head, payload);
  }

  private void show() throws IOException {
    String networks = worker.networks(endpoint);
    log.info("{} is connected over {}", name, networks);
    // UCX takes of what is demanded; that TCP has come in its place is what some have seen
    if (!demanded.isEmpty() && !demanded.contains("tcp") && !demanded.contains("all")) {
      if (("," + networks).contains(",tcp")) {
        throw new IOException("it is connected over " + networks + ", not over " + demanded);
      }
    }
  }

  /** Notes a message that UCX still needs; returns false if there are too many of them. */
  boolean sends(long request, Message message) {
    sending.add(new Sending(request, message));
    bytes += message.whole().byteSize();
    return bytes <= MOST_SENDING;
  }

  /** Releases messages that UCX needs no more; returns whether that was all. */
  boolean releaseSent(LongPredicate isDone) {
    while (!sending.isEmpty() && isDone.test(sending.element().request())) {
      Message message = sending.remove().message();
      bytes -= message.whole().byteSize();
      message.release();
    }
    return sending.isEmpty();
  }

  /** Hands over the messages that UCX still needs, since the link ends. */
  List<Sending> takeSending() {
    List<Sending> all = List.copyOf(sending);
    sending.clear();
    return all;
  }

  boolean isBroken() {
    return broken;
  }

  /** Notes that it is gone; returns whether it was not known. */
  boolean breakUp(IOException because) {
    if (broken) {
      return false;
    }
    broken = true;
    why = because;
    return true;
  }

  IOException why() {
    IOException because = why;
    return because == null ? new IOException("it was closed") : because;
  }

  @Override
  public void send(Message message) throws IOException {
    worker.send(this, message);
  }

  @Override
  public Driver driver() {
    return worker.driver();
  }

  @Override
  public String peer() {
    return name + " over UCX";
  }

  @Override
  public void close() {
    worker.close(this, new IOException("it was closed"));
  }
}
