package io.engram4j.ucx;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.engram4j.remote.wire.Link;
import io.engram4j.remote.wire.Message;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A worker of UCX with a thread that lets it progress, sleeps while nothing comes, and hands
 * messages to inboxes. Others send by a lock. Thread-safe.
 */
final class UcxWorker implements UcxDriver.Turns, AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(UcxWorker.class);
  private static final int SPINS = 2; // each is a system call over TCP
  private static final int SLEEP_MILLIS = 100;
  private static final long WHILE_DRIVEN = 2_000_000;
  private static final long CLOSE_NANOS = 1_000_000_000;

  private static final long FLAG_RENDEZVOUS = 1L << 17;
  private static final long FIELD_REPLY = 1;

  private final UcxContext context;
  private final Arena arena = Arena.ofShared();
  private final ReentrantLock lock = new ReentrantLock();
  private final Thread thread;

  // under the lock
  private final Map<Long, UcxLink> links = new HashMap<>(); // by the address of the endpoint
  private final Set<UcxLink> sending = new HashSet<>(); // those whose messages UCX still needs
  private final List<UcxLink.Sending> left = new ArrayList<>(); // of links that have ended
  private final UcxReceives receives;
  private final List<Long> closing = new ArrayList<>(); // requests
  private final List<MemorySegment> asking = new ArrayList<>(); // clients, to be accepted
  private final List<UcxLink> broken = new ArrayList<>();
  private final MemorySegment errorUpcall;
  private @Nullable Function<Link, Link.Inbox> accept;
  private @Nullable MemorySegment listener;
  private volatile boolean closed;

  private final Runnable onEnd;
  private final UcxDriver driver = new UcxDriver(this);
  private final MemorySegment driverPollfd;

  /**
   * Begins.
   *
   * @param context owned from here on
   * @param onEnd told of each link that has ended
   */
  UcxWorker(UcxContext context, String name, Runnable onEnd) throws IOException {
    this.context = context;
    this.receives = new UcxReceives(context);
    this.onEnd = onEnd;
    this.driverPollfd = arena.allocate(8, 8);
    this.errorUpcall = upcall("failed", FunctionDescriptor.ofVoid(ADDRESS, ADDRESS, JAVA_INT));
    context.receive(
        upcall(
            "received",
            FunctionDescriptor.of(
                JAVA_INT, ADDRESS, ADDRESS, JAVA_LONG, ADDRESS, JAVA_LONG, ADDRESS)));
    this.thread = Thread.ofPlatform().daemon().name("engram-ucx-" + name).start(this::run);
  }

  @SuppressWarnings("restricted")
  private MemorySegment upcall(String method, FunctionDescriptor descriptor) {
    try {
      MethodHandle own =
          MethodHandles.lookup()
              .findVirtual(UcxWorker.class, method, descriptor.toMethodType())
              .bindTo(this);
      return Linker.nativeLinker().upcallStub(own, descriptor, arena);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(e);
    }
  }

  // called by UCX, while it progresses; nothing may be thrown through it

  @SuppressWarnings({"UnusedMethod", "restricted"})
  private int received(
      MemorySegment unused,
      MemorySegment head,
      long headBytes,
      MemorySegment data,
      long bytes,
      MemorySegment param) {
    UcxLink link = null;
    try {
      MemorySegment info = param.reinterpret(UcxLayouts.RECEIVED_BYTES);
      long attributes = info.get(JAVA_LONG, 0);
      if ((attributes & FIELD_REPLY) == 0) {
        log.warn("a message without a sender was dropped");
        return Ucp.OK;
      }
      link = links.get(info.get(ADDRESS, 8).address());
      if (link == null || link.isBroken()) {
        return Ucp.OK; // of a link that was closed
      }
      MemorySegment ownHead = head.reinterpret(headBytes);
      if ((attributes & FLAG_RENDEZVOUS) != 0) {
        receives.begin(link, ownHead, data, bytes);
        return Ucp.IN_PROGRESS;
      }
      link.received(ownHead, data.reinterpret(bytes));
    } catch (IOException e) {
      breakUp(link, e);
    } catch (Throwable e) {
      log.warn("a message cannot be taken", e);
      breakUp(link, new IOException(e.toString(), e));
    }
    return Ucp.OK;
  }

  @SuppressWarnings("UnusedMethod")
  private void failed(MemorySegment unused, MemorySegment endpoint, int status) {
    try {
      UcxLink link = links.get(endpoint.address());
      breakUp(link, new IOException(context.text(status)));
    } catch (Throwable e) {
      log.warn("a lost connection cannot be noted", e);
    }
  }

  @SuppressWarnings("UnusedMethod")
  private void asked(MemorySegment request, MemorySegment unused) {
    try {
      asking.add(request);
    } catch (Throwable e) {
      log.warn("a client cannot be accepted", e);
    }
  }

  private void breakUp(@Nullable UcxLink link, IOException why) {
    if (link != null && link.breakUp(why)) {
      broken.add(link);
    }
  }

  // by the thread, or by those who send

  private void run() {
    MemorySegment pollfd = arena.allocate(8, 8);
    try {
      while (!closed) {
        if (driver.isDriven()) {
          LockSupport.parkNanos(WHILE_DRIVEN);
        } else if (turn()) {
          context.sleep(pollfd, SLEEP_MILLIS);
        }
      }
    } catch (Throwable e) {
      log.error("the thread of UCX ends", e);
    }
    closed = true;
    try {
      cleanUp();
    } catch (Throwable e) {
      log.error("UCX cannot be closed", e);
    }
  }

  /** Lets UCX progress; returns whether it may be slept until an event comes. */
  @Override
  public boolean turn() {
    lock.lock();
    try {
      if (closed) {
        return false;
      }
      for (int idle = 0; idle < SPINS; ) {
        idle = context.progress() ? 0 : idle + 1;
      }
      settle();
      int status = context.arm();
      if (status != Ucp.OK && status != Ucp.BUSY) {
        log.warn("UCX cannot wait: {}", context.text(status));
        LockSupport.parkNanos(WHILE_DRIVEN);
      }
      return status == Ucp.OK;
    } finally {
      lock.unlock();
    }
  }

  @Override
  public void sleep() {
    context.sleep(driverPollfd, 1); // what ends otherwise is seen then
  }

  @Override
  public boolean isOver() {
    return closed;
  }

  /** Returns what those who wait for messages may drive. */
  UcxDriver driver() {
    return driver;
  }

  /** What UCX has done, and what must not happen while it calls back. */
  private void settle() {
    for (MemorySegment request : List.copyOf(asking)) {
      accept(request);
    }
    asking.clear();
    sending.removeIf(link -> link.releaseSent(context::isDone));
    left.removeIf(this::isReleased);
    receives.deliver(this::breakUp);
    closing.removeIf(context::isDone);
    while (!broken.isEmpty()) {
      UcxLink link = broken.removeLast();
      end(link);
    }
  }

  private boolean isReleased(UcxLink.Sending one) {
    boolean done = context.isDone(one.request());
    if (done) {
      one.message().release();
    }
    return done;
  }

  /** Connects; whether somebody is there shows later. */
  UcxLink connect(InetSocketAddress to, Link.Inbox inbox, String networks) throws IOException {
    lock.lock();
    try {
      requireOpen();
      MemorySegment endpoint = context.connect(to, errorUpcall);
      UcxLink link = new UcxLink(this, endpoint, to.toString(), networks, inbox);
      links.put(endpoint.address(), link);
      return link;
    } finally {
      lock.unlock();
    }
  }

  /** Listens; returns the port. */
  int listen(InetSocketAddress at, Function<Link, Link.Inbox> to) throws IOException {
    lock.lock();
    try {
      requireOpen();
      accept = to;
      listener = context.listen(at, upcall("asked", FunctionDescriptor.ofVoid(ADDRESS, ADDRESS)));
      return context.port(listener);
    } finally {
      lock.unlock();
    }
  }

  private void accept(MemorySegment request) {
    Function<Link, Link.Inbox> to = accept;
    if (to == null) {
      return;
    }
    try {
      MemorySegment endpoint = context.accept(request, errorUpcall);
      UcxLink link = new UcxLink(this, endpoint, "a client", "", null);
      links.put(endpoint.address(), link);
      link.setInbox(to.apply(link));
    } catch (IOException | RuntimeException | Error e) {
      log.warn("a client cannot be accepted: {}", e.toString());
    }
  }

  private void requireOpen() throws IOException {
    if (closed) {
      throw new IOException("this worker of UCX is closed");
    }
  }

  /** Sends a message, and releases it when UCX needs it no more. */
  void send(UcxLink link, Message message) throws IOException {
    boolean taken = false;
    lock.lock();
    try {
      requireOpen();
      if (link.isBroken()) {
        throw new IOException(link.peer() + " is not connected");
      }
      long request = context.send(link.endpoint(), message.head(), message.payload());
      if (request != 0) {
        taken = true;
        sending.add(link);
        if (!link.sends(request, message)) {
          breakUp(link, new IOException("it does not read what is sent"));
        }
        if (Thread.currentThread() != thread) {
          context.signal();
        }
      }
    } finally {
      lock.unlock();
      if (!taken) {
        message.release();
      }
    }
  }

  /** Ends a link, whose inbox hears of it. */
  void close(UcxLink link, IOException why) {
    lock.lock();
    try {
      if (link.breakUp(why)) {
        end(link);
      }
    } finally {
      lock.unlock();
    }
  }

  private void end(UcxLink link) {
    if (links.remove(link.endpoint().address()) == null) {
      return;
    }
    left.addAll(link.takeSending());
    sending.remove(link);
    long request = context.close(link.endpoint());
    if (request != 0) {
      closing.add(request);
    }
    try {
      link.inbox().closed(link.why());
    } catch (RuntimeException | Error e) {
      log.warn("a closed connection cannot be told", e);
    }
    onEnd.run();
  }

  /** Returns the networks that an endpoint uses. */
  String networks(MemorySegment endpoint) {
    return context.networks(endpoint);
  }

  /** Ends it; returns before that is done. */
  void closeSoon() {
    lock.lock();
    try {
      if (closed) {
        return;
      }
      closed = true; // under the lock: the thread destroys what is signalled here
      context.signal();
    } finally {
      lock.unlock();
    }
  }

  @Override
  public void close() {
    closeSoon();
    try {
      thread.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** By the thread, as its last. */
  private void cleanUp() {
    driver.awaitEnd();
    lock.lock();
    try {
      if (listener != null) {
        context.stop(listener);
      }
      for (UcxLink link : List.copyOf(links.values())) {
        close(link, new IOException("it was closed"));
      }
      long end = System.nanoTime() + CLOSE_NANOS;
      do {
        context.progress();
        settle();
      } while (!(left.isEmpty() && receives.isEmpty() && closing.isEmpty())
          && System.nanoTime() - end < 0);
      context.close();
      left.forEach(one -> one.message().release());
    } finally {
      lock.unlock();
    }
    arena.close();
  }
}
