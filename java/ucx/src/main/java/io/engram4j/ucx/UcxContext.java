package io.engram4j.ucx;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/** A context of UCX with one worker: which networks it takes, and where its events come. */
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

  private final Ucp ucp;
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
        close();
        require(status, "the events of UCX");
      }
    } catch (IOException | RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
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
      changes.put("RNDV_THRESH", "inf"); // over TCP 49,152 rows took 11.6 ms so, and 19.8 without
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

  Ucp ucp() {
    return ucp;
  }

  MemorySegment worker() {
    return worker;
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
      throw new IllegalStateException(e);
    }
  }

  @Override
  public void close() {
    try {
      ucp.workerDestroy.invokeExact(worker);
      ucp.cleanup.invokeExact(context);
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }
}
