package io.engram4j.ucx;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A context of UCX with one worker, and what is asked of them. For one thread at a time, but {@link
 * #sleep}.
 */
final class UcxContext implements AutoCloseable {
  private static final int MAJOR = 1;
  private static final int MINOR = 12;

  // of ucp_params
  private static final int PARAMS_BYTES = 80;
  private static final long FIELD_FEATURES = 1;
  private static final int FEATURES_AT = 8;
  private static final long FEATURE_MESSAGES = 64;
  private static final long FEATURE_WAKEUP = 16;

  // of ucp_worker_params
  private static final int WORKER_PARAMS_BYTES = 200;
  private static final long FIELD_THREAD_MODE = 1;
  private static final int THREAD_MODE_AT = 8;
  private static final int ONE_AT_A_TIME = 1;

  private static final int MESSAGE = 7; // id of all messages

  private final Ucp ucp;
  private final Arena params = Arena.ofShared();
  private final MemorySegment sendParams = params(UcxLayouts.SEND_REPLY);
  private final MemorySegment closeParams = params(UcxLayouts.CLOSE_FORCE);
  private final MemorySegment plainParams = params.allocate(UcxLayouts.OPERATION_BYTES, 8);
  private final MemorySegment context;
  private final MemorySegment worker;
  private final int descriptor;

  /**
   * Begins.
   *
   * @param networks as UCX_TLS has them, empty for those that UCX chooses
   * @throws IOException if UCX is not installed, or has none of these networks
   */
  UcxContext(Ucp ucp, String networks) throws IOException {
    this.ucp = ucp;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment result = arena.allocate(ADDRESS);
      MemorySegment config = config(arena, networks);
      try {
        MemorySegment params = arena.allocate(PARAMS_BYTES, 8);
        params.set(JAVA_LONG, 0, FIELD_FEATURES);
        params.set(JAVA_LONG, FEATURES_AT, FEATURE_MESSAGES | FEATURE_WAKEUP);
        int status = (int) ucp.init.invokeExact(MAJOR, MINOR, params, config, result);
        require(status, networks.isEmpty() ? "UCX" : "UCX with the networks " + networks);
      } finally {
        ucp.configRelease.invokeExact(config);
      }
      this.context = result.get(ADDRESS, 0);
      try {
        MemorySegment params = arena.allocate(WORKER_PARAMS_BYTES, 8);
        params.set(JAVA_LONG, 0, FIELD_THREAD_MODE);
        params.set(JAVA_INT, THREAD_MODE_AT, ONE_AT_A_TIME);
        int status = (int) ucp.workerCreate.invokeExact(context, params, result);
        require(status, "a worker of UCX");
      } catch (Throwable e) {
        ucp.cleanup.invokeExact(context);
        throw e;
      }
      this.worker = result.get(ADDRESS, 0);
      int status = (int) ucp.workerDescriptor.invokeExact(worker, result);
      this.descriptor = result.get(JAVA_INT, 0);
      if (status != Ucp.OK) {
        ucp.workerDestroy.invokeExact(worker);
        ucp.cleanup.invokeExact(context);
        require(status, "the events of UCX");
      }
    } catch (Throwable e) {
      params.close();
      if (e instanceof IOException own) {
        throw own;
      }
      throw thrown(e);
    }
  }

  private MemorySegment params(int flags) {
    MemorySegment all = params.allocate(UcxLayouts.OPERATION_BYTES, 8);
    all.set(JAVA_INT, 0, UcxLayouts.OPERATION_FLAGS);
    all.set(JAVA_INT, 4, flags);
    return all;
  }

  private MemorySegment config(Arena arena, String networks) throws Throwable {
    MemorySegment result = arena.allocate(ADDRESS);
    int read = (int) ucp.configRead.invokeExact(MemorySegment.NULL, MemorySegment.NULL, result);
    require(read, "the settings of UCX");
    MemorySegment config = result.get(ADDRESS, 0);
    Map<String, String> changes = new LinkedHashMap<>();
    if (!networks.isEmpty()) {
      changes.put("TLS", networks);
    }
    if (System.getenv("UCX_RNDV_THRESH") == null && !hasFastNetwork()) {
      // fetched by the other side they took 1.7 times as long over TCP, in a prototype
      changes.put("RNDV_THRESH", "inf");
    }
    for (Map.Entry<String, String> change : changes.entrySet()) {
      int status =
          (int)
              ucp.configModify.invokeExact(
                  config,
                  arena.allocateFrom(change.getKey()),
                  arena.allocateFrom(change.getValue()));
      require(status, change.getKey() + "=" + change.getValue());
    }
    return config;
  }

  private static boolean hasFastNetwork() {
    return Files.isDirectory(Path.of("/sys/class/infiniband"));
  }

  /** Throws what a status says, if it is no success. */
  void require(int status, String what) throws IOException {
    if (status != Ucp.OK) {
      throw new IOException(what + ": " + ucp.text(status));
    }
  }

  /** Returns what a status means. */
  String text(int status) {
    return ucp.text(status);
  }

  private static RuntimeException thrown(Throwable e) {
    if (e instanceof Error error) {
      throw error;
    }
    return e instanceof RuntimeException unchecked ? unchecked : new IllegalStateException(e);
  }

  /**
   * Lets a function take all messages that come.
   *
   * @param receiver stays as long as this
   */
  void receive(MemorySegment receiver) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment params = arena.allocate(UcxLayouts.RECEIVER_BYTES, 8);
      params.set(JAVA_LONG, 0, UcxLayouts.RECEIVER_FIELDS);
      params.set(JAVA_INT, UcxLayouts.RECEIVER_ID_AT, MESSAGE);
      params.set(JAVA_INT, UcxLayouts.RECEIVER_FLAGS_AT, UcxLayouts.RECEIVE_WHOLE);
      params.set(ADDRESS, UcxLayouts.RECEIVER_CALLBACK_AT, receiver);
      require(setReceiver(params), "receiving by UCX");
    }
  }

  private int setReceiver(MemorySegment params) {
    try {
      return (int) ucp.setReceiver.invokeExact(worker, params);
    } catch (Throwable e) {
      throw thrown(e);
    }
  }

  /** Lets it do what there is to do, calling back; returns whether there was anything. */
  boolean progress() {
    try {
      return (int) ucp.workerProgress.invokeExact(worker) != 0;
    } catch (Throwable e) {
      throw thrown(e);
    }
  }

  /** Returns {@link Ucp#OK} if events will wake who sleeps, {@link Ucp#BUSY} if some are here. */
  int arm() {
    try {
      return (int) ucp.workerArm.invokeExact(worker);
    } catch (Throwable e) {
      throw thrown(e);
    }
  }

  /** Wakes who sleeps. */
  void signal() {
    try {
      int status = (int) ucp.workerSignal.invokeExact(worker);
      if (status != Ucp.OK) {
        throw new IllegalStateException("waking the worker of UCX: " + text(status));
      }
    } catch (Throwable e) {
      throw thrown(e);
    }
  }

  /** Returns an endpoint that connects to an address. */
  MemorySegment connect(InetSocketAddress to, MemorySegment onError) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment address = Ucp.socketAddress(to, arena);
      MemorySegment params =
          endpoint(arena, UcxLayouts.ENDPOINT_SOCKET | UcxLayouts.ENDPOINT_FLAGS, onError);
      params.set(JAVA_INT, UcxLayouts.ENDPOINT_FLAGS_AT, UcxLayouts.CLIENT_SERVER);
      params.set(ADDRESS, UcxLayouts.ENDPOINT_SOCKET_AT, address);
      params.set(JAVA_INT, UcxLayouts.ENDPOINT_SOCKET_AT + 8, (int) address.byteSize());
      return create(arena, params);
    }
  }

  /** Returns an endpoint to a client that asked. */
  MemorySegment accept(MemorySegment request, MemorySegment onError) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment params = endpoint(arena, UcxLayouts.ENDPOINT_REQUEST, onError);
      params.set(ADDRESS, UcxLayouts.ENDPOINT_REQUEST_AT, request);
      return create(arena, params);
    }
  }

  private static MemorySegment endpoint(Arena arena, long fields, MemorySegment onError) {
    MemorySegment params = arena.allocate(UcxLayouts.ENDPOINT_BYTES, 8);
    params.set(JAVA_LONG, 0, fields | UcxLayouts.ENDPOINT_ERRORS);
    params.set(JAVA_INT, UcxLayouts.ENDPOINT_ERROR_MODE_AT, UcxLayouts.ERRORS_OF_PEERS);
    params.set(ADDRESS, UcxLayouts.ENDPOINT_ERROR_HANDLER_AT, onError);
    return params;
  }

  private MemorySegment create(Arena arena, MemorySegment params) throws IOException {
    MemorySegment result = arena.allocate(ADDRESS);
    int status;
    try {
      status = (int) ucp.endpointCreate.invokeExact(worker, params, result);
    } catch (Throwable e) {
      throw thrown(e);
    }
    require(status, "a connection of UCX");
    return result.get(ADDRESS, 0);
  }

  /** Returns a listener, which calls back for each client that asks. */
  MemorySegment listen(InetSocketAddress at, MemorySegment onAsked) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment address = Ucp.socketAddress(at, arena);
      MemorySegment params = arena.allocate(UcxLayouts.LISTENER_BYTES, 8);
      params.set(JAVA_LONG, 0, UcxLayouts.LISTENER_FIELDS);
      params.set(ADDRESS, UcxLayouts.LISTENER_SOCKET_AT, address);
      params.set(JAVA_INT, UcxLayouts.LISTENER_SOCKET_AT + 8, (int) address.byteSize());
      params.set(ADDRESS, UcxLayouts.LISTENER_HANDLER_AT, onAsked);
      MemorySegment result = arena.allocate(ADDRESS);
      int status;
      try {
        status = (int) ucp.listenerCreate.invokeExact(worker, params, result);
      } catch (Throwable e) {
        throw thrown(e);
      }
      require(status, "listening at " + at);
      return result.get(ADDRESS, 0);
    }
  }

  /** Returns the port of a listener. */
  int port(MemorySegment listener) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment query = arena.allocate(UcxLayouts.LISTENER_QUERY_BYTES, 8);
      query.set(JAVA_LONG, 0, 1);
      int status;
      try {
        status = (int) ucp.listenerQuery.invokeExact(listener, query);
      } catch (Throwable e) {
        throw thrown(e);
      }
      require(status, "the port of a listener");
      return Short.toUnsignedInt(Short.reverseBytes(query.get(JAVA_SHORT, 8 + 2)));
    }
  }

  /** Ends a listener. */
  void stop(MemorySegment listener) {
    try {
      ucp.listenerDestroy.invokeExact(listener);
    } catch (Throwable e) {
      throw thrown(e);
    }
  }

  /** Sends; returns a request that is done when head and payload are needed no more, or 0. */
  long send(MemorySegment endpoint, MemorySegment head, MemorySegment payload) throws IOException {
    try {
      return require(
          (long)
              ucp.send.invokeExact(
                  endpoint,
                  MESSAGE,
                  head,
                  head.byteSize(),
                  payload,
                  payload.byteSize(),
                  sendParams));
    } catch (IOException e) {
      throw e;
    } catch (Throwable e) {
      throw thrown(e);
    }
  }

  /** Fetches what a message has from the other side's memory; returns a request, or 0. */
  long fetch(MemorySegment descriptor, MemorySegment to) throws IOException {
    try {
      return require(
          (long) ucp.receiveData.invokeExact(worker, descriptor, to, to.byteSize(), plainParams));
    } catch (IOException e) {
      throw e;
    } catch (Throwable e) {
      throw thrown(e);
    }
  }

  /** Closes an endpoint, whatever is under way; returns a request, or 0. */
  long close(MemorySegment endpoint) {
    try {
      long request = (long) ucp.endpointClose.invokeExact(endpoint, closeParams);
      return isError(request) ? 0 : request;
    } catch (Throwable e) {
      throw thrown(e);
    }
  }

  /** Pointers of the last hundred bytes are statuses. */
  private static boolean isError(long request) {
    return request < 0 && request >= -100;
  }

  private long require(long request) throws IOException {
    if (isError(request)) {
      throw new IOException(text((int) request));
    }
    return request;
  }

  /** Returns whether a request is done, which is freed then. */
  boolean isDone(long request) {
    try {
      int status = (int) ucp.requestStatus.invokeExact(request);
      if (status == Ucp.IN_PROGRESS) {
        return false;
      }
      ucp.requestFree.invokeExact(request);
      return true;
    } catch (Throwable e) {
      throw thrown(e);
    }
  }

  /** Returns the networks that an endpoint uses, such as {@code tcp/eth0}, empty if unknown. */
  @SuppressWarnings("restricted")
  String networks(MemorySegment endpoint) {
    try (Arena own = Arena.ofConfined()) {
      MemorySegment text = own.allocate(ADDRESS);
      MemorySegment size = own.allocate(JAVA_LONG);
      MemorySegment stream = (MemorySegment) ucp.openMemory.invokeExact(text, size);
      ucp.endpointPrint.invokeExact(endpoint, stream);
      int ended = (int) ucp.closeStream.invokeExact(stream);
      MemorySegment all = text.get(ADDRESS, 0).reinterpret(size.get(JAVA_LONG, 0));
      String info = new String(all.toArray(JAVA_BYTE), StandardCharsets.US_ASCII);
      ucp.free.invokeExact(text.get(ADDRESS, 0));
      return ended == 0 ? UcxLayouts.lanes(info) : "";
    } catch (Throwable e) {
      return "";
    }
  }

  /** Waits for events, or until it is signalled, or for a while. */
  void sleep(MemorySegment pollfd, int millis) {
    try {
      pollfd.set(JAVA_INT, 0, descriptor);
      pollfd.set(JAVA_INT, 4, 1); // POLLIN, and nothing returned yet
      int ready = (int) ucp.poll.invokeExact(pollfd, 1L, millis);
      if (ready < 0) {
        Thread.onSpinWait(); // a signal
      }
    } catch (Throwable e) {
      throw thrown(e);
    }
  }

  @Override
  public void close() {
    try {
      ucp.workerDestroy.invokeExact(worker);
      ucp.cleanup.invokeExact(context);
    } catch (Throwable e) {
      throw thrown(e);
    }
    params.close();
  }
}
