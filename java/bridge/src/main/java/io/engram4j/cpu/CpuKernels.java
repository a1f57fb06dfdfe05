package io.engram4j.cpu;

import io.engram4j.bindings.Engram;
import io.engram4j.bindings.engram_linear;
import io.engram4j.bridge.Plans;
import io.engram4j.kernel.Backend;
import io.engram4j.model.Dtype;
import io.engram4j.model.HiddenStream;
import io.engram4j.model.LayerLayout;
import io.engram4j.table.Table;
import io.engram4j.weights.ConvWeights;
import io.engram4j.weights.GateWeights;
import io.engram4j.weights.Linear;
import io.engram4j.weights.Projection;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.ref.Reference;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The stages on the C kernels. With all memory off the heap a stage is one plain downcall that
 * allocates nothing. Heap arrays are pinned for the time of a call, so those calls are cut into
 * short ranges; the projection, which takes long, copies heap arrays instead.
 */
final class CpuKernels {
  /** Rows per pinned call: about 20 us of gathering. */
  private static final long PINNED_ROWS = 96;

  /** Tokens per pinned call of the hash: about 20 us. */
  private static final long PINNED_HASHES = 1024;

  private CpuKernels() {}

  static final class CpuHash implements Backend.Hash {
    private final Tier tier;
    private final MemorySegment plan;
    private final long windowBytes;
    private final long rowIdBytes;

    CpuHash(Tier tier, LayerLayout layout, Arena arena) {
      this.tier = tier;
      this.plan = Plans.onHost(arena).layout(layout);
      this.windowBytes = 4L * layout.maxNgram();
      this.rowIdBytes = 8L * layout.columns();
    }

    @Override
    public void run(MemorySegment windows, long tokens, MemorySegment rowIds) {
      if (tokens == 0) {
        return; // empty segments may have no address
      }
      if (windows.isNative() && rowIds.isNative()) {
        CpuCalls.hash(tier, plan, windows, tokens, rowIds);
        return;
      }
      for (long from = 0; from < tokens; from += PINNED_HASHES) {
        long count = Math.min(PINNED_HASHES, tokens - from);
        CpuCalls.hash(
            tier,
            plan,
            windows.asSlice(from * windowBytes),
            count,
            rowIds.asSlice(from * rowIdBytes));
      }
    }
  }

  static final class CpuGather implements Backend.Gather {
    private final Tier tier;
    private final Table table;
    private final MemorySegment plan;
    private final HeldMemory held;

    CpuGather(Tier tier, Table table, Arena arena) {
      this.tier = tier;
      this.table = table;
      this.plan = Plans.onHost(arena).table(table);
      this.held = HeldMemory.of(List.of(table));
    }

    @Override
    public void run(MemorySegment rowIds, long count, MemorySegment out, Dtype outType) {
      held.requireOpen();
      if (count == 0) {
        return;
      }
      int type = Plans.type(outType);
      try {
        if (rowIds.isNative() && out.isNative()) {
          check(CpuCalls.gather(tier, plan, rowIds, count, out, type, held), rowIds, count);
          return;
        }
        long rowBytes = (long) table.headDim() * outType.bytes();
        for (long from = 0; from < count; from += PINNED_ROWS) {
          long rows = Math.min(PINNED_ROWS, count - from);
          MemorySegment ids = rowIds.asSlice(8 * from);
          MemorySegment to = out.asSlice(from * rowBytes);
          check(CpuCalls.gather(tier, plan, ids, rows, to, type, held), ids, rows);
        }
      } finally {
        Reference.reachabilityFence(table); // the plan has only the addresses of its memory
      }
    }

    private void check(int status, MemorySegment rowIds, long count) {
      if (status == Engram.ENGRAM_ERROR_MEMORY()) {
        throw FaultGuard.lost(table.name());
      }
      if (status == Engram.ENGRAM_ERROR_ROW()) {
        for (long i = 0; i < count; i++) {
          table.check(rowIds.getAtIndex(ValueLayout.JAVA_LONG_UNALIGNED, i)); // throws, naming it
        }
      }
      CpuCalls.check("engram_gather", status);
    }
  }

  static final class CpuProject implements Backend.Project {
    private final Tier tier;
    private final Projection projection;
    private final List<MemorySegment> plans = new ArrayList<>();
    private final List<HeldMemory> held = new ArrayList<>();
    private final Arena arena;
    private volatile @Nullable Scratch scratch;

    CpuProject(Tier tier, Projection projection, Arena arena) {
      this.tier = tier;
      this.projection = projection;
      this.arena = arena;
      for (Linear part : projection.parts()) {
        plans.add(Plans.onHost(arena).linear(part));
        held.add(HeldMemory.of(part));
      }
    }

    @Override
    public void run(MemorySegment rows, int tokens, int first, int count, MemorySegment kv) {
      for (int i = 0; i < held.size(); i++) { // an iterator would be an object per call
        held.get(i).requireOpen();
      }
      if (tokens == 0 || count == 0) {
        return;
      }
      if (rows.isNative() && kv.isNative()) {
        offHeap(rows, tokens, first, count, kv);
        return;
      }
      try (Arena copies = Arena.ofConfined()) {
        long stride = 4L * projection.outputs();
        MemorySegment out = copies.allocate(stride * tokens, 64);
        MemorySegment in = copies.allocate(rows.byteSize(), 64).copyFrom(rows);
        offHeap(in, tokens, first, count, out);
        for (int token = 0; token < tokens; token++) { // the other outputs are other threads'
          long at = stride * token + 4L * first;
          MemorySegment.copy(out, at, kv, at, 4L * count);
        }
      }
    }

    private void check(String function, int part, int status) {
      if (status == Engram.ENGRAM_ERROR_MEMORY()) {
        throw FaultGuard.lost(projection.parts().get(part).name());
      }
      CpuCalls.check(function, status);
    }

    /**
     * Not when the model is opened: this reads all weights, as the first projection does anyway.
     * How much scratch there must be depends on the answer.
     */
    private synchronized Scratch askForNans() {
      Scratch known = scratch;
      if (known != null) {
        return known;
      }
      long bytes = 0;
      try {
        for (int i = 0; i < plans.size(); i++) {
          int answer = CpuCalls.nanFree(tier, plans.get(i), held.get(i));
          check("engram_nan_free", i, Math.min(answer, 0));
          engram_linear.nan_free(plans.get(i), answer);
          bytes = Math.max(bytes, CpuCalls.projectScratch(tier, plans.get(i)));
        }
      } finally {
        Reference.reachabilityFence(projection);
      }
      Scratch pool = new Scratch(arena, bytes);
      scratch = pool;
      return pool;
    }

    private void offHeap(MemorySegment rows, int tokens, int first, int count, MemorySegment kv) {
      Scratch pool = scratch;
      if (pool == null) {
        pool = askForNans();
      }
      boolean batch = tokens > 1 && pool.bytes() > 0;
      MemorySegment own = batch ? pool.take() : MemorySegment.NULL;
      try {
        int column = 0;
        for (int i = 0; i < plans.size(); i++) {
          int outputs = projection.parts().get(i).outputs();
          int begin = Math.max(0, first - column);
          int end = Math.min(outputs, first + count - column);
          if (begin < end) {
            int at = column + begin;
            MemorySegment out = at == 0 ? kv : kv.asSlice(4L * at);
            int status =
                CpuCalls.project(
                    tier,
                    plans.get(i),
                    rows,
                    tokens,
                    begin,
                    end - begin,
                    out,
                    projection.outputs(),
                    own,
                    pool.bytes(),
                    held.get(i));
            check("engram_project", i, status);
          }
          column += outputs;
        }
      } finally {
        if (batch) {
          pool.give(own);
        }
        Reference.reachabilityFence(projection);
      }
    }
  }

  static final class CpuGate implements Backend.Gate {
    private final Tier tier;
    private final MemorySegment plan;
    private final int branches;
    private final int hiddenSize;

    CpuGate(Tier tier, GateWeights weights, Arena arena) {
      this.tier = tier;
      this.plan = Plans.onHost(arena).gate(weights);
      this.branches = weights.branches();
      this.hiddenSize = weights.hiddenSize();
    }

    @Override
    public void run(
        MemorySegment kv,
        HiddenStream hidden,
        MemorySegment mask,
        long tokens,
        MemorySegment gates,
        @Nullable MemorySegment gated) {
      boolean offHeap =
          kv.isNative()
              && hidden.data().isNative()
              && mask.isNative()
              && gates.isNative()
              && (gated == null || gated.isNative());
      long step = offHeap ? Math.max(tokens, 1) : 1; // a token is about 10 us
      for (long from = 0; from < tokens; from += step) {
        CpuCalls.gate(
            tier,
            plan,
            slice(kv, 4L * from * (branches + 1) * hiddenSize),
            slice(hidden.data(), from * hidden.tokenStride()),
            Plans.type(hidden.dtype()),
            hidden.tokenStride(),
            hidden.branchStride(),
            slice(mask, from),
            step == 1 ? 1 : tokens,
            slice(gates, 4L * from * branches),
            gated == null ? MemorySegment.NULL : slice(gated, 4L * from * branches * hiddenSize));
      }
    }
  }

  static final class CpuConv implements Backend.Conv {
    private final Tier tier;
    private final MemorySegment plan;
    private final int channels;

    CpuConv(Tier tier, ConvWeights weights, Arena arena) {
      this.tier = tier;
      this.plan = Plans.onHost(arena).conv(weights);
      this.channels = weights.channels();
    }

    @Override
    public void run(
        MemorySegment gated,
        MemorySegment window,
        int first,
        MemorySegment mask,
        long tokens,
        HiddenStream hidden) {
      boolean offHeap =
          gated.isNative() && window.isNative() && mask.isNative() && hidden.data().isNative();
      long step = offHeap ? Math.max(tokens, 1) : 1; // a token is about 20 us
      for (long from = 0; from < tokens; from += step) {
        CpuCalls.conv(
            tier,
            plan,
            slice(gated, 4L * from * channels),
            window,
            first + from,
            slice(mask, from),
            step == 1 ? 1 : tokens,
            slice(hidden.data(), from * hidden.tokenStride()),
            Plans.type(hidden.dtype()),
            hidden.tokenStride(),
            hidden.branchStride());
      }
    }
  }

  private static MemorySegment slice(MemorySegment segment, long from) {
    return from == 0 ? segment : segment.asSlice(from);
  }
}
