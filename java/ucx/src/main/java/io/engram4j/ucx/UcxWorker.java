package io.engram4j.ucx;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import io.engram4j.host.Buffer;
import io.engram4j.remote.Driver;
import io.engram4j.remote.wire.Link;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.net.InetSocketAddress;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicReference;
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
final class UcxWorker implements Driver, AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(UcxWorker.class);
  private static final int MESSAGE = 7; // id of all messages
  private static final int SPINS = 2; // each is a system call over TCP
  private static final int SLEEP_MILLIS = 100;
  private static final long WHILE_DRIVEN = 2_000_000;
  private static final long RECENTLY = 10_000_000;
  private static final long CLOSE_NANOS = 1_000_000_000;

  private static final long FLAG_RENDEZVOUS = 1L << 17;
  private static final long FIELD_REPLY = 1;

  private final Ucp ucp;
  private final UcxContext context;
  private final Arena arena = Arena.ofShared();
  private final ReentrantLock lock = new ReentrantLock();
  private final Thread thread;

  // under the lock
  private final Map<Long, UcxLink> links = new HashMap<>(); // by the address of the endpoint
  private final ArrayDeque<UcxLink.Sending> sending = new ArrayDeque<>();
  private final List<Receiving> receiving = new ArrayList<>();
  private final List<Long> closing = new ArrayList<>(); // requests
  private final List<MemorySegment> asking = new ArrayList<>(); // clients, to be accepted
  private final List<UcxLink> broken = new ArrayList<>();
  private final MemorySegment sendParams;
  private final MemorySegment plainParams;
  private final MemorySegment errorUpcall;
  private @Nullable Function<Link, Link.Inbox> accept;
  private @Nullable MemorySegment listener;
  private volatile boolean closed;

  private final Runnable onEnd;
  private final AtomicReference<@Nullable Thread> driving = new AtomicReference<>();
  private final ConcurrentLinkedQueue<Thread> waiting = new ConcurrentLinkedQueue<>();
  private final MemorySegment driverPollfd;
  private volatile long driven = System.nanoTime() - RECENTLY;

  /** A message whose payload is fetched from the other side's memory. */
  private record Receiving(UcxLink link, long request, Buffer memory, long bytes) {}

  /**
   * Begins.
   *
   * @param context owned from here on
   * @param onEnd told of each link that has ended
   */
  UcxWorker(UcxContext context, String name, Runnable onEnd) throws IOException {
    this.context = context;
    this.onEnd = onEnd;
    this.ucp = context.ucp();
    this.driverPollfd = arena.allocate(8, 8);
    this.sendParams = params(UcxLayouts.OPERATION_FLAGS, UcxLayouts.SEND_REPLY);
    this.plainParams = params(0, 0);
    this.errorUpcall = upcall("failed", FunctionDescriptor.ofVoid(ADDRESS, ADDRESS, JAVA_INT));
    MemorySegment receiver = arena.allocate(UcxLayouts.RECEIVER_BYTES, 8);
    receiver.set(JAVA_LONG, 0, UcxLayouts.RECEIVER_FIELDS);
    receiver.set(JAVA_INT, UcxLayouts.RECEIVER_ID_AT, MESSAGE);
    receiver.set(JAVA_INT, UcxLayouts.RECEIVER_FLAGS_AT, UcxLayouts.RECEIVE_WHOLE);
    receiver.set(
        ADDRESS,
        UcxLayouts.RECEIVER_CALLBACK_AT,
        upcall(
            "received",
            FunctionDescriptor.of(
                JAVA_INT, ADDRESS, ADDRESS, JAVA_LONG, ADDRESS, JAVA_LONG, ADDRESS)));
    try {
      int status = (int) ucp.setReceiver.invokeExact(context.worker(), receiver);
      context.require(status, "receiving by UCX");
    } catch (IOException | RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
    this.thread = Thread.ofPlatform().daemon().name("engram-ucx-" + name).start(this::run);
  }

  private MemorySegment params(int mask, int flags) {
    MemorySegment params = arena.allocate(UcxLayouts.OPERATION_BYTES, 8);
    params.set(JAVA_INT, 0, mask);
    params.set(JAVA_INT, 4, flags);
    return params;
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
        return fetch(link, ownHead, data, bytes);
      }
      link.show();
      link.inbox().received(ownHead, data.reinterpret(bytes));
    } catch (IOException e) {
      breakUp(link, e);
    } catch (Throwable e) {
      log.warn("a message cannot be taken", e);
      breakUp(link, new IOException(e.toString(), e));
    }
    return Ucp.OK;
  }

  private int fetch(UcxLink link, MemorySegment head, MemorySegment descriptor, long bytes)
      throws Throwable {
    if (bytes > UcxLayouts.MOST_BYTES) {
      throw new IOException("a message of " + bytes + " bytes");
    }
    Buffer memory = new Buffer();
    try {
      MemorySegment all = memory.reserve(head.byteSize() + bytes);
      MemorySegment.copy(head, 0, all, 0, head.byteSize());
      MemorySegment to = all.asSlice(head.byteSize(), bytes);
      long request =
          (long) ucp.receiveData.invokeExact(context.worker(), descriptor, to, bytes, plainParams);
      if (isError(request)) {
        throw new IOException(ucp.text((int) request));
      }
      receiving.add(new Receiving(link, request, memory, bytes));
    } catch (Throwable e) {
      memory.close();
      throw e;
    }
    return Ucp.IN_PROGRESS;
  }

  @SuppressWarnings("UnusedMethod")
  private void failed(MemorySegment unused, MemorySegment endpoint, int status) {
    try {
      UcxLink link = links.get(endpoint.address());
      breakUp(link, new IOException(ucp.text(status)));
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

  static boolean isError(long pointer) {
    return pointer < 0 && pointer >= -100;
  }

  private void run() {
    MemorySegment pollfd = arena.allocate(8, 8);
    try {
      while (!closed) {
        // somebody who waits does this, or did so just now and will again: two that wake for a
        // reply are in each other's way (75 us in place of 44)
        if (driving.get() != null || System.nanoTime() - driven < RECENTLY) {
          LockSupport.parkNanos(WHILE_DRIVEN);
        } else if (turn()) {
          context.sleep(pollfd, SLEEP_MILLIS);
        }
      }
      cleanUp();
    } catch (Throwable e) {
      log.error("the thread of UCX ends", e);
    }
  }

  /** Lets UCX progress; returns whether it may be slept until an event comes. */
  private boolean turn() throws Throwable {
    lock.lock();
    try {
      if (closed) {
        return false;
      }
      for (int idle = 0; idle < SPINS; ) {
        idle = progress() ? 0 : idle + 1;
      }
      settle();
      int status = (int) ucp.workerArm.invokeExact(context.worker());
      if (status != Ucp.OK && status != Ucp.BUSY) {
        log.warn("UCX cannot wait: {}", ucp.text(status));
        LockSupport.parkNanos(WHILE_DRIVEN);
      }
      return status == Ucp.OK;
    } finally {
      lock.unlock();
    }
  }

  /** One of those who wait drives; the others sleep, and the next of them drives on. */
  @Override
  public void await(Waiting what, long nanos) {
    Thread own = Thread.currentThread();
    if (!driving.compareAndSet(null, own)) {
      waiting.add(own);
      if (driving.get() != null && !what.hasCome()) {
        LockSupport.parkNanos(this, nanos);
      }
      waiting.remove(own);
      if (driving.get() == null) {
        wakeNext(); // this one may have what it wants, and drive no more
      }
      return;
    }
    try {
      long end = System.nanoTime() + nanos;
      while (!what.hasCome() && !closed && end - System.nanoTime() > 0) {
        if (turn() && !what.hasCome()) {
          context.sleep(driverPollfd, 1); // what ends otherwise is seen then
        }
      }
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    } finally {
      driven = System.nanoTime();
      driving.set(null);
      wakeNext();
    }
  }

  private void wakeNext() {
    Thread next = waiting.peek();
    if (next != null) {
      LockSupport.unpark(next);
    }
  }

  private boolean progress() throws Throwable {
    int events = (int) ucp.workerProgress.invokeExact(context.worker());
    return events != 0;
  }

  /** What UCX has done, and what must not happen while it calls back. */
  private void settle() throws Throwable {
    for (MemorySegment request : List.copyOf(asking)) {
      accept(request);
    }
    asking.clear();
    while (!sending.isEmpty() && isDone(sending.element().request())) {
      sending.remove().message().release();
    }
    for (int i = 0; i < receiving.size(); ) {
      Receiving one = receiving.get(i);
      if (one.request() == 0 || isDone(one.request())) {
        receiving.remove(i);
        deliver(one);
      } else {
        i++;
      }
    }
    closing.removeIf(this::isDone);
    while (!broken.isEmpty()) {
      UcxLink link = broken.removeLast();
      end(link);
    }
  }

  private void deliver(Receiving one) {
    try (Buffer memory = one.memory()) {
      if (!one.link().isBroken()) {
        long heads = memory.get().byteSize() - one.bytes();
        MemorySegment all = memory.get();
        one.link().inbox().received(all.asSlice(0, heads), all.asSlice(heads, one.bytes()));
      }
    } catch (IOException e) {
      breakUp(one.link(), e);
    } catch (RuntimeException | Error e) {
      log.warn("a message cannot be taken", e);
      breakUp(one.link(), new IOException(e.toString(), e));
    }
  }

  /** Returns whether a request is done, which is freed then. */
  private boolean isDone(long request) {
    try {
      int status = (int) ucp.requestStatus.invokeExact(request);
      if (status == Ucp.IN_PROGRESS) {
        return false;
      }
      ucp.requestFree.invokeExact(request);
      return true;
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }

  /** Connects; whether somebody is there shows later. */
  UcxLink connect(InetSocketAddress to, Link.Inbox inbox, String networks) throws IOException {
    lock.lock();
    try (Arena own = Arena.ofConfined()) {
      requireOpen();
      MemorySegment address = Ucp.socketAddress(to, own);
      MemorySegment params = endpoint(own, UcxLayouts.ENDPOINT_SOCKET | UcxLayouts.ENDPOINT_FLAGS);
      params.set(JAVA_INT, UcxLayouts.ENDPOINT_FLAGS_AT, UcxLayouts.CLIENT_SERVER);
      params.set(ADDRESS, UcxLayouts.ENDPOINT_SOCKET_AT, address);
      params.set(JAVA_INT, UcxLayouts.ENDPOINT_SOCKET_AT + 8, (int) address.byteSize());
      UcxLink link = new UcxLink(this, create(own, params), to.toString(), networks, inbox);
      links.put(link.endpoint().address(), link);
      return link;
    } finally {
      lock.unlock();
    }
  }

  private MemorySegment endpoint(Arena own, long fields) {
    MemorySegment params = own.allocate(UcxLayouts.ENDPOINT_BYTES, 8);
    params.set(JAVA_LONG, 0, fields | UcxLayouts.ENDPOINT_ERRORS);
    params.set(JAVA_INT, UcxLayouts.ENDPOINT_ERROR_MODE_AT, UcxLayouts.ERRORS_OF_PEERS);
    params.set(ADDRESS, UcxLayouts.ENDPOINT_ERROR_HANDLER_AT, errorUpcall);
    return params;
  }

  private MemorySegment create(Arena own, MemorySegment params) throws IOException {
    try {
      MemorySegment result = own.allocate(ADDRESS);
      int status = (int) ucp.endpointCreate.invokeExact(context.worker(), params, result);
      context.require(status, "a connection of UCX");
      return result.get(ADDRESS, 0);
    } catch (IOException | RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }

  /** Listens; returns the port. */
  int listen(InetSocketAddress at, Function<Link, Link.Inbox> to) throws IOException {
    lock.lock();
    try (Arena own = Arena.ofConfined()) {
      requireOpen();
      accept = to;
      MemorySegment address = Ucp.socketAddress(at, own);
      MemorySegment params = own.allocate(UcxLayouts.LISTENER_BYTES, 8);
      params.set(JAVA_LONG, 0, UcxLayouts.LISTENER_FIELDS);
      params.set(ADDRESS, UcxLayouts.LISTENER_SOCKET_AT, address);
      params.set(JAVA_INT, UcxLayouts.LISTENER_SOCKET_AT + 8, (int) address.byteSize());
      params.set(
          ADDRESS,
          UcxLayouts.LISTENER_HANDLER_AT,
          upcall("asked", FunctionDescriptor.ofVoid(ADDRESS, ADDRESS)));
      MemorySegment result = own.allocate(ADDRESS);
      int status = (int) ucp.listenerCreate.invokeExact(context.worker(), params, result);
      context.require(status, "listening at " + at);
      MemorySegment made = result.get(ADDRESS, 0);
      listener = made;
      MemorySegment query = own.allocate(UcxLayouts.LISTENER_QUERY_BYTES, 8);
      query.set(JAVA_LONG, 0, 1);
      int asked = (int) ucp.listenerQuery.invokeExact(made, query);
      context.require(asked, "the port of " + at);
      return Short.toUnsignedInt(Short.reverseBytes(query.get(JAVA_SHORT, 8 + 2)));
    } catch (IOException | RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    } finally {
      lock.unlock();
    }
  }

  private void accept(MemorySegment request) {
    Function<Link, Link.Inbox> to = accept;
    if (to == null) {
      return;
    }
    try (Arena own = Arena.ofConfined()) {
      MemorySegment params = endpoint(own, UcxLayouts.ENDPOINT_REQUEST);
      params.set(ADDRESS, UcxLayouts.ENDPOINT_REQUEST_AT, request);
      UcxLink link = new UcxLink(this, create(own, params), "a client", "", null);
      links.put(link.endpoint().address(), link);
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
  void send(UcxLink link, io.engram4j.remote.wire.Message message) throws IOException {
    boolean taken = false;
    lock.lock();
    try {
      requireOpen();
      if (link.isBroken()) {
        throw new IOException(link.peer() + " is not connected");
      }
      MemorySegment head = message.head();
      MemorySegment payload = message.payload();
      long request =
          (long)
              ucp.send.invokeExact(
                  link.endpoint(),
                  MESSAGE,
                  head,
                  head.byteSize(),
                  payload,
                  payload.byteSize(),
                  sendParams);
      if (isError(request)) {
        throw new IOException(link.peer() + ": " + ucp.text((int) request));
      }
      if (request != 0) {
        taken = true;
        sending.add(new UcxLink.Sending(request, message));
        if (Thread.currentThread() != thread) {
          int status = (int) ucp.workerSignal.invokeExact(context.worker());
          context.require(status, "waking the worker of UCX");
        }
      }
    } catch (IOException | RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException(e);
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
    try (Arena own = Arena.ofConfined()) {
      MemorySegment params = own.allocate(UcxLayouts.OPERATION_BYTES, 8);
      params.set(JAVA_INT, 0, UcxLayouts.OPERATION_FLAGS);
      params.set(JAVA_INT, 4, UcxLayouts.CLOSE_FORCE);
      long request = (long) ucp.endpointClose.invokeExact(link.endpoint(), params);
      if (request != 0 && !isError(request)) {
        closing.add(request);
      }
    } catch (Throwable e) {
      log.warn("closing a connection of UCX", e);
    }
    try {
      link.inbox().closed(link.why());
    } catch (RuntimeException | Error e) {
      log.warn("a closed connection cannot be told", e);
    }
    onEnd.run();
  }

  /** Returns the networks that an endpoint uses, such as {@code tcp/eth0}. */
  @SuppressWarnings("restricted")
  String networks(MemorySegment endpoint) {
    lock.lock();
    try (Arena own = Arena.ofConfined()) {
      MemorySegment text = own.allocate(ADDRESS);
      MemorySegment size = own.allocate(JAVA_LONG);
      MemorySegment stream = (MemorySegment) ucp.openMemory.invokeExact(text, size);
      ucp.endpointPrint.invokeExact(endpoint, stream);
      int ended = (int) ucp.closeStream.invokeExact(stream);
      MemorySegment all = text.get(ADDRESS, 0).reinterpret(size.get(JAVA_LONG, 0));
      String info = new String(all.toArray(JAVA_BYTE), java.nio.charset.StandardCharsets.US_ASCII);
      ucp.free.invokeExact(text.get(ADDRESS, 0));
      return ended == 0 ? UcxLayouts.lanes(info) : "";
    } catch (Throwable e) {
      return "";
    } finally {
      lock.unlock();
    }
  }

  /** Ends it; returns before that is done. */
  void closeSoon() {
    lock.lock();
    try {
      if (closed) {
        return;
      }
      closed = true; // under the lock: the thread destroys what is signalled here
      int status = (int) ucp.workerSignal.invokeExact(context.worker());
      log.debug("waking UCX to close: {}", ucp.text(status));
    } catch (Throwable e) {
      throw new IllegalStateException(e);
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
  private void cleanUp() throws Throwable {
    while (driving.get() != null) { // which sees that it is closed
      LockSupport.parkNanos(100_000);
    }
    lock.lock();
    try {
      if (listener != null) {
        ucp.listenerDestroy.invokeExact(listener);
      }
      for (UcxLink link : List.copyOf(links.values())) {
        close(link, new IOException("it was closed"));
      }
      long end = System.nanoTime() + CLOSE_NANOS;
      do {
        boolean unused = progress();
        settle();
      } while (!(sending.isEmpty() && receiving.isEmpty() && closing.isEmpty())
          && System.nanoTime() - end < 0);
      context.close();
      for (UcxLink.Sending left : sending) {
        left.message().release();
      }
    } finally {
      lock.unlock();
    }
    arena.close();
  }
}
