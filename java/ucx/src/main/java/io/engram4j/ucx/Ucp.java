package io.engram4j.ucx;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The functions of libucp that are called, by the interface of UCX 1.12 and later: its structures
 * say by a mask which fields they have, so that those known here stay where they are. Thread-safe.
 */
@SuppressWarnings("restricted") // downcalls are what this class is for
final class Ucp {
  static final int OK = 0;
  static final int IN_PROGRESS = 1;
  static final int BUSY = -15;

  private static final String[] LIBRARIES = {"libucp.so.0", "libucp.so"};
  private static final String[] STATUS_LIBRARIES = {"libucs.so.0", "libucs.so"};
  private static final Linker LINKER = Linker.nativeLinker();

  /**
   * What UCX must find in its environment as it is loaded: it may not take the signals by which the
   * JVM notices null pointers (the first one ends the process otherwise), nor put its own functions
   * in the place of those that map memory.
   */
  private static final Map<String, String> SETTINGS =
      Map.of(
          "UCX_ERROR_SIGNALS", "",
          "UCX_MEM_MMAP_HOOK_MODE", "none",
          "UCX_WARN_UNUSED_ENV_VARS", "n",
          "UCX_CM_REUSEADDR", "y"); // a server that starts again takes its port again

  private static volatile @Nullable Ucp loaded;

  final MethodHandle configRead;
  final MethodHandle configModify;
  final MethodHandle configRelease;
  final MethodHandle init;
  final MethodHandle cleanup;
  final MethodHandle workerCreate;
  final MethodHandle workerDestroy;
  final MethodHandle workerProgress;
  final MethodHandle workerDescriptor;
  final MethodHandle workerArm;
  final MethodHandle workerSignal;
  final MethodHandle setReceiver;
  final MethodHandle listenerCreate;
  final MethodHandle listenerDestroy;
  final MethodHandle listenerQuery;
  final MethodHandle endpointCreate;
  final MethodHandle endpointClose;
  final MethodHandle endpointPrint;
  final MethodHandle send;
  final MethodHandle receiveData;
  final MethodHandle requestStatus;
  final MethodHandle requestFree;
  final MethodHandle poll;
  final MethodHandle openMemory;
  final MethodHandle closeStream;
  final MethodHandle free;
  private final MethodHandle statusText;
  private final SymbolLookup library;

  private Ucp() throws IOException {
    set();
    Arena forever = Arena.global(); // a library that was once loaded stays: its threads may run
    this.library = load(LIBRARIES, forever);
    SymbolLookup status = load(STATUS_LIBRARIES, forever);
    configRead = call("ucp_config_read", JAVA_INT, ADDRESS, ADDRESS, ADDRESS);
    configModify = call("ucp_config_modify", JAVA_INT, ADDRESS, ADDRESS, ADDRESS);
    configRelease = call("ucp_config_release", null, ADDRESS);
    init = call("ucp_init_version", JAVA_INT, JAVA_INT, JAVA_INT, ADDRESS, ADDRESS, ADDRESS);
    cleanup = call("ucp_cleanup", null, ADDRESS);
    workerCreate = call("ucp_worker_create", JAVA_INT, ADDRESS, ADDRESS, ADDRESS);
    workerDestroy = call("ucp_worker_destroy", null, ADDRESS);
    workerProgress = call("ucp_worker_progress", JAVA_INT, ADDRESS);
    workerDescriptor = call("ucp_worker_get_efd", JAVA_INT, ADDRESS, ADDRESS);
    workerArm = call("ucp_worker_arm", JAVA_INT, ADDRESS);
    workerSignal = call("ucp_worker_signal", JAVA_INT, ADDRESS);
    setReceiver = call("ucp_worker_set_am_recv_handler", JAVA_INT, ADDRESS, ADDRESS);
    listenerCreate = call("ucp_listener_create", JAVA_INT, ADDRESS, ADDRESS, ADDRESS);
    listenerDestroy = call("ucp_listener_destroy", null, ADDRESS);
    listenerQuery = call("ucp_listener_query", JAVA_INT, ADDRESS, ADDRESS);
    endpointCreate = call("ucp_ep_create", JAVA_INT, ADDRESS, ADDRESS, ADDRESS);
    endpointClose = call("ucp_ep_close_nbx", JAVA_LONG, ADDRESS, ADDRESS);
    endpointPrint = call("ucp_ep_print_info", null, ADDRESS, ADDRESS);
    send =
        call(
            "ucp_am_send_nbx",
            JAVA_LONG,
            ADDRESS,
            JAVA_INT,
            ADDRESS,
            JAVA_LONG,
            ADDRESS,
            JAVA_LONG,
            ADDRESS);
    receiveData =
        call("ucp_am_recv_data_nbx", JAVA_LONG, ADDRESS, ADDRESS, ADDRESS, JAVA_LONG, ADDRESS);
    requestStatus = call("ucp_request_check_status", JAVA_INT, JAVA_LONG);
    requestFree = call("ucp_request_free", null, JAVA_LONG);
    statusText = handle(status, "ucs_status_string", ADDRESS, JAVA_INT);
    SymbolLookup libc = LINKER.defaultLookup();
    poll = handle(libc, "poll", JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT);
    openMemory = handle(libc, "open_memstream", ADDRESS, ADDRESS, ADDRESS);
    closeStream = handle(libc, "fclose", JAVA_INT, ADDRESS);
    free = handle(libc, "free", null, ADDRESS);
  }

  /**
   * Loads the library, once.
   *
   * @throws IOException if this machine has none
   */
  static Ucp load() throws IOException {
    Ucp ucp = loaded;
    if (ucp == null) {
      synchronized (Ucp.class) {
        ucp = loaded;
        if (ucp == null) {
          ucp = new Ucp();
          loaded = ucp;
        }
      }
    }
    return ucp;
  }

  private static void set() {
    MethodHandle set =
        LINKER.downcallHandle(
            LINKER.defaultLookup().findOrThrow("setenv"),
            FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS, JAVA_INT));
    try (Arena texts = Arena.ofConfined()) {
      for (Map.Entry<String, String> setting : SETTINGS.entrySet()) {
        int keep = 0; // what the user set
        int failed =
            (int)
                set.invokeExact(
                    texts.allocateFrom(setting.getKey()),
                    texts.allocateFrom(setting.getValue()),
                    keep);
        if (failed != 0) {
          throw new IllegalStateException("setenv of " + setting.getKey());
        }
      }
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }

  private static SymbolLookup load(String[] names, Arena arena) throws IOException {
    IllegalArgumentException failure = null;
    for (String name : names) {
      try {
        return SymbolLookup.libraryLookup(name, arena);
      } catch (IllegalArgumentException e) {
        failure = e;
      }
    }
    throw new IOException(
        "UCX is not installed: there is no " + names[0] + " (Debian and Ubuntu: libucx0)", failure);
  }

  private MethodHandle call(String name, @Nullable MemoryLayout result, MemoryLayout... arguments)
      throws IOException {
    return handle(library, name, result, arguments);
  }

  private static MethodHandle handle(
      SymbolLookup from, String name, @Nullable MemoryLayout result, MemoryLayout... arguments)
      throws IOException {
    MemorySegment symbol =
        from.find(name).orElseThrow(() -> new IOException("this UCX is too old: no " + name));
    return LINKER.downcallHandle(
        symbol,
        result == null
            ? FunctionDescriptor.ofVoid(arguments)
            : FunctionDescriptor.of(result, arguments));
  }

  /** Returns what a status means. */
  String text(int status) {
    try {
      MemorySegment text = (MemorySegment) statusText.invokeExact(status);
      return text.reinterpret(256).getString(0);
    } catch (Throwable e) {
      return "status " + status;
    }
  }

  /** Returns a socket address as C has it; IPv4 or IPv6. */
  static MemorySegment socketAddress(java.net.InetSocketAddress address, Arena arena) {
    byte[] bytes = address.getAddress().getAddress();
    boolean four = bytes.length == 4;
    MemorySegment result = arena.allocate(four ? 16 : 28, 8);
    result.set(JAVA_SHORT, 0, (short) (four ? 2 : 10));
    short port = (short) address.getPort();
    result.set(JAVA_SHORT, 2, Short.reverseBytes(port));
    MemorySegment.copy(MemorySegment.ofArray(bytes), 0, result, four ? 4 : 8, bytes.length);
    return result;
  }
}
