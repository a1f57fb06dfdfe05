package io.engram4j.mpi;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.util.Map;

/** The functions of a library of MPI that are called. For one thread at a time. */
@SuppressWarnings("restricted") // downcalls are what this class is for
final class Mpi {
  private static final int SERIALIZED = 2; // one thread at a time calls
  private static final int ERROR_TEXT = 1024;
  private static final int REQUEST = 8; // bytes, at least
  private static final int STATUS = 64;

  /**
   * What a library must find in its environment as it is loaded: neither Open MPI nor UCX, on which
   * either may be built, may take the signals by which the JVM notices null pointers, nor put its
   * own functions in the place of those that map memory.
   */
  private static final Map<String, String> SETTINGS =
      Map.of(
          "OMPI_MCA_opal_signal", "",
          "UCX_ERROR_SIGNALS", "",
          "UCX_MEM_MMAP_HOOK_MODE", "none");

  private static final Linker LINKER = Linker.nativeLinker();

  private final Arena arena = Arena.ofShared(); // for as long as the process: MPI is begun once
  private final SymbolLookup library;
  private final MpiAbi abi;
  private final MemorySegment request = arena.allocate(REQUEST, REQUEST);
  private final MemorySegment flag = arena.allocate(JAVA_INT);
  private final MemorySegment status = arena.allocate(STATUS, REQUEST);
  private final Object world;
  private final MethodHandle allToAll;
  private final MethodHandle allToAllParts;
  private final MethodHandle barrier;
  private final MethodHandle test;

  /**
   * Loads a library.
   *
   * @throws IllegalStateException if it cannot be loaded
   */
  Mpi(String file, MpiAbi abi) {
    this.abi = abi;
    set(SETTINGS);
    try {
      this.library = SymbolLookup.libraryLookup(file, arena);
    } catch (IllegalArgumentException e) {
      throw new IllegalStateException("the library of MPI cannot be loaded: " + file, e);
    }
    MemoryLayout handle = abi.layout();
    Object ints = abi.handle(library, "ompi_mpi_int", 0x4c000405);
    this.world = abi.handle(library, "ompi_mpi_comm_world", 0x44000000);
    MethodHandle each =
        function(
            "MPI_Ialltoall", ADDRESS, JAVA_INT, handle, ADDRESS, JAVA_INT, handle, handle, ADDRESS);
    this.allToAll = MethodHandles.insertArguments(bind(each, 2, ints, 5, ints, 6, world), 1, 1);
    MethodHandle parts =
        function(
            "MPI_Ialltoallv",
            ADDRESS,
            ADDRESS,
            ADDRESS,
            handle,
            ADDRESS,
            ADDRESS,
            ADDRESS,
            handle,
            handle,
            ADDRESS);
    this.allToAllParts = bind(parts, 3, ints, 7, ints, 8, world);
    this.barrier = bind(function("MPI_Ibarrier", handle, ADDRESS), 0, world);
    this.test = function("MPI_Test", ADDRESS, ADDRESS, ADDRESS);
  }

  /** Binds arguments, given as places in ascending order with their values. */
  private static MethodHandle bind(MethodHandle function, Object... places) {
    MethodHandle bound = function;
    for (int i = places.length - 2; i >= 0; i -= 2) {
      bound = MethodHandles.insertArguments(bound, (int) places[i], places[i + 1]);
    }
    return bound;
  }

  private static void set(Map<String, String> settings) {
    MethodHandle set =
        LINKER.downcallHandle(
            LINKER.defaultLookup().findOrThrow("setenv"),
            FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS, JAVA_INT));
    try (Arena texts = Arena.ofConfined()) {
      for (Map.Entry<String, String> setting : settings.entrySet()) {
        int keep = 0; // what the user set
        int unused =
            (int)
                set.invoke(
                    texts.allocateFrom(setting.getKey()),
                    texts.allocateFrom(setting.getValue()),
                    keep);
      }
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }

  private MethodHandle function(String name, MemoryLayout... arguments) {
    return LINKER.downcallHandle(
        library
            .find(name)
            .orElseThrow(() -> new IllegalStateException("the library of MPI has no " + name)),
        FunctionDescriptor.of(JAVA_INT, arguments));
  }

  private int call(MethodHandle function, Object... arguments) {
    int code;
    try {
      code = (int) function.invokeWithArguments(arguments);
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
    if (code != 0) {
      throw new IllegalStateException("MPI: " + text(code));
    }
    return code;
  }

  private String text(int code) {
    try (Arena texts = Arena.ofConfined()) {
      MemorySegment text = texts.allocate(ERROR_TEXT);
      MemorySegment length = texts.allocate(JAVA_INT);
      MethodHandle say = function("MPI_Error_string", JAVA_INT, ADDRESS, ADDRESS);
      int failed = (int) say.invoke(code, text, length);
      return failed == 0 ? text.getString(0) : "error " + code;
    } catch (Throwable e) {
      return "error " + code;
    }
  }

  /**
   * Begins MPI in this process.
   *
   * @throws IllegalStateException if it was begun before, or for single threads only
   */
  void begin() {
    call(function("MPI_Initialized", ADDRESS), flag);
    if (flag.get(JAVA_INT, 0) != 0) {
      throw new IllegalStateException("MPI was begun in this process already");
    }
    MethodHandle begin = function("MPI_Init_thread", ADDRESS, ADDRESS, JAVA_INT, ADDRESS);
    call(begin, MemorySegment.NULL, MemorySegment.NULL, SERIALIZED, flag);
    if (flag.get(JAVA_INT, 0) < SERIALIZED) {
      throw new IllegalStateException(
          "this library of MPI is for one thread alone: it gives " + flag.get(JAVA_INT, 0));
    }
    Object codes = abi.handle(library, "ompi_mpi_errors_return", 0x54000001);
    call(function("MPI_Comm_set_errhandler", abi.layout(), abi.layout()), world, codes);
  }

  int rank() {
    call(function("MPI_Comm_rank", abi.layout(), ADDRESS), world, flag);
    return flag.get(JAVA_INT, 0);
  }

  int size() {
    call(function("MPI_Comm_size", abi.layout(), ADDRESS), world, flag);
    return flag.get(JAVA_INT, 0);
  }

  /** Begins to send one int to each rank. */
  void startAllToAll(MemorySegment send, MemorySegment receive) {
    call(allToAll, send, receive, 1, request);
  }

  /** Begins to send some ints to each rank; counts and places are ints too, of ints. */
  void startAllToAll(
      MemorySegment send,
      MemorySegment counts,
      MemorySegment places,
      MemorySegment receive,
      MemorySegment receiveCounts,
      MemorySegment receivePlaces) {
    call(allToAllParts, send, counts, places, receive, receiveCounts, receivePlaces, request);
  }

  /** Begins to wait for all ranks. */
  void startBarrier() {
    call(barrier, request);
  }

  /** Returns whether what was begun is done; what it uses must stay until then. */
  boolean isDone() {
    call(test, request, flag, status);
    return flag.get(JAVA_INT, 0) != 0;
  }

  /** Ends MPI in this process. */
  void end() {
    call(function("MPI_Finalize"));
  }

  /** Ends all processes of the job, this one among them. */
  void abort() {
    call(function("MPI_Abort", abi.layout(), JAVA_INT), world, 1);
  }
}
