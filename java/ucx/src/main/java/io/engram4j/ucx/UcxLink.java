package io.engram4j.ucx;

import io.engram4j.remote.Driver;
import io.engram4j.remote.wire.Link;
import io.engram4j.remote.wire.Message;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A connection of UCX; what changes of it does under its worker's lock. */
final class UcxLink implements Link {
  private static final Logger log = LoggerFactory.getLogger(UcxLink.class);

  private final UcxWorker worker;
  private final MemorySegment endpoint;
  private final String name;
  private final Set<String> demanded;
  private @Nullable Inbox inbox;
  private @Nullable IOException why;
  private volatile boolean broken;
  private boolean shown;

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

  /**
   * Returns who hears of what comes; at first it is seen over which network that is.
   *
   * @throws IllegalStateException if it is another than was demanded
   */
  Inbox inbox() {
    Inbox to = inbox;
    if (to == null) {
      throw new IllegalStateException("nobody hears of " + name);
    }
    return to;
  }

  /** Says once over which networks messages come; another than was demanded is refused. */
  void show() throws IOException {
    if (shown) {
      return;
    }
    shown = true;
    String networks = worker.networks(endpoint);
    log.info("{} is connected over {}", name, networks);
    for (String network : networks.split(",", -1)) {
      String kind = network.split("/", -1)[0];
      if (!demanded.isEmpty() && demanded.stream().noneMatch(kind::startsWith)) {
        throw new IOException("it is connected over " + networks + ", not over " + demanded);
      }
    }
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
    return worker;
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
