package io.engram4j.cpu;

import io.engram4j.bindings.Engram;
import io.engram4j.os.AmxTiles;
import io.engram4j.work.Failures;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The calls into the library. Off-heap arguments go through the plain handles that jextract made;
 * for heap arrays there is a second, critical handle per function, which pins them: so only short
 * ranges go through it ({@link CpuKernels}).
 *
 * <p>Where a struct has addresses of memory that can be closed, the handle has {@value
 * HeldMemory#MOST} more arguments than the function. C does not see them: in every calling
 * convention the caller puts them behind the others and takes them away again. The bridge keeps
 * their arenas open until the call returns.
 */
final class CpuCalls {
  private static final MethodHandle HASH_HEAP =
      critical(Engram.engram_hash$address(), Engram.engram_hash$descriptor());
  private static final MethodHandle GATHER =
      plain(Engram.engram_gather$address(), holding(Engram.engram_gather$descriptor()));
  private static final MethodHandle GATHER_HEAP =
      critical(Engram.engram_gather$address(), holding(Engram.engram_gather$descriptor()));
  private static final MethodHandle LOOKUP =
      plain(Engram.engram_lookup$address(), holding(Engram.engram_lookup$descriptor()));
  private static final MethodHandle PROJECT =
      plain(Engram.engram_project$address(), holding(Engram.engram_project$descriptor()));
  private static final MethodHandle NAN_FREE =
      plain(Engram.engram_nan_free$address(), holding(Engram.engram_nan_free$descriptor()));
  private static final MethodHandle GATE_HEAP =
      critical(Engram.engram_gate$address(), Engram.engram_gate$descriptor());

  private static final MethodHandle CONV_HEAP =
      critical(Engram.engram_conv$address(), Engram.engram_conv$descriptor());

  private CpuCalls() {}

  @SuppressWarnings("restricted")
  private static MethodHandle critical(MemorySegment address, FunctionDescriptor descriptor) {
    return Linker.nativeLinker().downcallHandle(address, descriptor, Linker.Option.critical(true));
  }

  @SuppressWarnings("restricted")
  private static MethodHandle plain(MemorySegment address, FunctionDescriptor descriptor) {
    return Linker.nativeLinker().downcallHandle(address, descriptor);
  }

  private static FunctionDescriptor holding(FunctionDescriptor descriptor) {
    MemoryLayout[] held = new MemoryLayout[HeldMemory.MOST];
    Arrays.fill(held, ValueLayout.ADDRESS);
    return descriptor.appendArgumentLayouts(held);
  }

  /** Binds every function now, so that a missing one shows when the library is loaded. */
  static void bindAll() {
    AmxTiles.ask(); // before the library looks which tiers there are
    Engram.engram_status_text$handle();
    Engram.engram_build_info$handle();
    Engram.engram_tier_problem$handle();
    Engram.engram_guard$handle();
    Engram.engram_fault_handler$handle();
    Engram.engram_describe_row_type$handle();
    Engram.engram_hash$handle();
    Engram.engram_project_scratch$handle();
    Engram.engram_gate$handle();
    Engram.engram_conv$handle();
  }

  static String buildInfo() {
    return Engram.engram_build_info().getString(0);
  }

  /** Returns why the loaded library cannot run a tier here, or null if it can. */
  static @Nullable String problem(Tier tier) {
    MemorySegment text = Engram.engram_tier_problem(tier.code());
    return text.address() == 0 ? null : text.getString(0);
  }

  static void hash(
      Tier tier, MemorySegment plan, MemorySegment windows, long tokens, MemorySegment rowIds) {
    int status;
    if (windows.isNative() && rowIds.isNative()) {
      status = Engram.engram_hash(tier.code(), plan, windows, tokens, rowIds);
    } else {
      try {
        status = (int) HASH_HEAP.invokeExact(tier.code(), plan, windows, tokens, rowIds);
      } catch (Throwable e) {
        throw Failures.unchecked(e);
      }
    }
    check("engram_hash", status);
  }

  /** Returns the status, since a row id that is out of range is the caller's to tell. */
  static int gather(
      Tier tier,
      MemorySegment plan,
      MemorySegment rowIds,
      long count,
      MemorySegment out,
      int outType,
      HeldMemory held) {
    try {
      if (rowIds.isNative() && out.isNative()) {
        return (int)
            GATHER.invokeExact(
                tier.code(),
                plan,
                rowIds,
                count,
                out,
                outType,
                held.segment(0),
                held.segment(1),
                held.segment(2),
                held.segment(3));
      }
      return (int)
          GATHER_HEAP.invokeExact(
              tier.code(),
              plan,
              rowIds,
              count,
              out,
              outType,
              held.segment(0),
              held.segment(1),
              held.segment(2),
              held.segment(3));
    } catch (Throwable e) {
      throw Failures.unchecked(e);
    }
  }

  /** Off-heap memory only. Returns the status, as {@link #gather} does. */
  static int lookup(
      Tier tier,
      int layers,
      MemorySegment layouts,
      MemorySegment tables,
      MemorySegment windows,
      long tokens,
      MemorySegment rowIds,
      MemorySegment rows,
      int outType,
      HeldMemory held) {
    try {
      return (int)
          LOOKUP.invokeExact(
              tier.code(),
              layers,
              layouts,
              tables,
              windows,
              tokens,
              rowIds,
              rows,
              outType,
              held.segment(0),
              held.segment(1),
              held.segment(2),
              held.segment(3));
    } catch (Throwable e) {
      throw Failures.unchecked(e);
    }
  }

  /** Returns the status: the caller can name the weights. */
  static int project(
      Tier tier,
      MemorySegment plan,
      MemorySegment rows,
      long tokens,
      int first,
      int count,
      MemorySegment out,
      long outStride,
      MemorySegment scratch,
      long scratchBytes,
      HeldMemory held) {
    try {
      return (int)
          PROJECT.invokeExact(
              tier.code(),
              plan,
              rows,
              tokens,
              first,
              count,
              out,
              outStride,
              scratch,
              scratchBytes,
              held.segment(0),
              held.segment(1),
              held.segment(2),
              held.segment(3));
    } catch (Throwable e) {
      throw Failures.unchecked(e);
    }
  }

  /** Returns how much scratch any number of tokens may take. */
  static long projectScratch(Tier tier, MemorySegment plan) {
    long bytes = Engram.engram_project_scratch(tier.code(), plan, Integer.MAX_VALUE);
    check("engram_project_scratch", (int) Math.min(bytes, 0));
    return bytes;
  }

  /** Returns 1 if no weight is NaN, else 0, or a status below 0; reads them all. */
  static int nanFree(Tier tier, MemorySegment plan, HeldMemory held) {
    try {
      return (int)
          NAN_FREE.invokeExact(
              tier.code(),
              plan,
              held.segment(0),
              held.segment(1),
              held.segment(2),
              held.segment(3));
    } catch (Throwable e) {
      throw Failures.unchecked(e);
    }
  }

  static void gate(
      Tier tier,
      MemorySegment plan,
      MemorySegment kv,
      MemorySegment stream,
      int type,
      long tokenStride,
      long branchStride,
      MemorySegment mask,
      long tokens,
      MemorySegment gates,
      MemorySegment gated) {
    boolean offHeap =
        kv.isNative()
            && stream.isNative()
            && mask.isNative()
            && gates.isNative()
            && gated.isNative();
    int status;
    if (offHeap) {
      status =
          Engram.engram_gate(
              tier.code(),
              plan,
              kv,
              stream,
              type,
              tokenStride,
              branchStride,
              mask,
              tokens,
              gates,
              gated);
    } else {
      try {
        status =
            (int)
                GATE_HEAP.invokeExact(
                    tier.code(),
                    plan,
                    kv,
                    stream,
                    type,
                    tokenStride,
                    branchStride,
                    mask,
                    tokens,
                    gates,
                    gated);
      } catch (Throwable e) {
        throw Failures.unchecked(e);
      }
    }
    check("engram_gate", status);
  }

  static void conv(
      Tier tier,
      MemorySegment plan,
      MemorySegment gated,
      MemorySegment window,
      long first,
      MemorySegment mask,
      long tokens,
      MemorySegment stream,
      int type,
      long tokenStride,
      long branchStride) {
    boolean offHeap = gated.isNative() && window.isNative() && mask.isNative() && stream.isNative();
    int status;
    if (offHeap) {
      status =
          Engram.engram_conv(
              tier.code(),
              plan,
              gated,
              window,
              first,
              mask,
              tokens,
              stream,
              type,
              tokenStride,
              branchStride);
    } else {
      try {
        status =
            (int)
                CONV_HEAP.invokeExact(
                    tier.code(),
                    plan,
                    gated,
                    window,
                    first,
                    mask,
                    tokens,
                    stream,
                    type,
                    tokenStride,
                    branchStride);
      } catch (Throwable e) {
        throw Failures.unchecked(e);
      }
    }
    check("engram_conv", status);
  }

  static void check(String function, int status) {
    if (status != Engram.ENGRAM_OK()) {
      String text = Engram.engram_status_text(status).getString(0);
      throw new EngramNativeException(function, status, text);
    }
  }
}
