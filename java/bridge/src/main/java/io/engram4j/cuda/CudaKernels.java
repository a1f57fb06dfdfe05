package io.engram4j.cuda;

import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import io.engram4j.bindings.cuda.EngramCuda;
import io.engram4j.bridge.Plans;
import io.engram4j.kernel.Backend;
import io.engram4j.model.Dtype;
import io.engram4j.model.HiddenStream;
import io.engram4j.model.LayerLayout;
import io.engram4j.table.Table;
import io.engram4j.weights.ConvWeights;
import io.engram4j.weights.GateWeights;
import io.engram4j.weights.Projection;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** The stages of the {@code cuda} backend: weights on the device, data there and back by call. */
final class CudaKernels {
  private final int device;
  private final DeviceMemory memory; // of the weights
  private final ConcurrentLinkedQueue<RoundTrip> free = new ConcurrentLinkedQueue<>();

  /** For kernels whose memory ends with an arena. */
  CudaKernels(int device, Arena arena) {
    this.device = device;
    this.memory = new DeviceMemory(device);
    DeviceMemory.atEnd(
        arena,
        () -> {
          free.forEach(RoundTrip::close);
          memory.close();
        });
  }

  /** Runs a kernel's call with memory that no other thread uses meanwhile. */
  private void call(Consumer<RoundTrip> work) {
    RoundTrip idle = free.poll();
    RoundTrip trip = idle == null ? new RoundTrip(device) : idle;
    try {
      work.accept(trip);
      trip.finish();
    } catch (RuntimeException | Error e) {
      trip.reset();
      try {
        trip.close(); // its stream may be broken
      } catch (CudaException second) {
        e.addSuppressed(second);
      }
      throw e;
    }
    free.add(trip);
  }

  /** Stage hash. */
  final class CudaHash implements Backend.Hash {
    private final MemorySegment plan;
    private final int window;
    private final int columns;

    CudaHash(LayerLayout layout) {
      this.plan = DeviceWeights.layouts(List.of(layout), memory);
      this.window = layout.maxNgram();
      this.columns = layout.columns();
    }

    @Override
    public void run(MemorySegment windows, long tokens, MemorySegment rowIds) {
      call(trip -> {
        MemorySegment in = trip.send(windows, 4L * tokens * window);
        MemorySegment out = trip.receive(rowIds, 8L * tokens * columns);
        CudaLibrary.check(
            "engram_cuda_hash",
            EngramCuda.engram_cuda_hash(trip.stream().queue(), plan, in, tokens, out));
      });
    }
  }

  /** Stage gather: the host reads the rows as they are, the device widens them. */
  final class CudaGather implements Backend.Gather {
    private final Table table;

    CudaGather(Table table) {
      this.table = table;
    }

    @Override
    public void run(MemorySegment rowIds, long count, MemorySegment out, Dtype outType) {
      if (count == 0) {
        return;
      }
      long bytes = count * table.rowBytes();
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment rows = arena.allocate(bytes, 64);
        table.read(rowIds, count, rows);
        MemorySegment places = arena.allocate(8 * count, 64);
        for (long i = 0; i < count; i++) {
          long row = rowIds.getAtIndex(JAVA_LONG_UNALIGNED, i);
          places.setAtIndex(JAVA_LONG, i, row < 0 ? -1 : i);
        }
        Table read = table.ofRead(count, rows);
        call(trip -> {
          MemorySegment ids = trip.send(places, 8 * count);
          MemorySegment sent = trip.send(rows, bytes);
          Plans plans =
              new Plans(
                  arena,
                  part ->
                      MemorySegment.ofAddress(sent.address() + part.address() - rows.address()));
          MemorySegment to = trip.receive(out, count * table.headDim() * outType.bytes());
          CudaLibrary.check(
              "engram_cuda_gather",
              EngramCuda.engram_cuda_gather(
                  trip.stream().queue(),
                  plans.table(read),
                  MemorySegment.NULL,
                  ids,
                  count,
                  to,
                  Plans.type(outType),
                  MemorySegment.NULL));
        });
      }
    }
  }

  /** Stage project. */
  final class CudaProject implements Backend.Project {
    private final DeviceWeights.Parts parts;
    private final int inputs;

    CudaProject(Projection projection) {
      this.parts = DeviceWeights.Parts.of(projection, memory);
      this.inputs = projection.inputs();
    }

    @Override
    public void run(MemorySegment rows, int tokens, int first, int count, MemorySegment kv) {
      if (tokens == 0 || count == 0) {
        return;
      }
      call(trip -> {
        MemorySegment in = trip.send(rows, 4L * tokens * inputs);
        long width = 4L * count;
        long stride = 4L * parts.width();
        MemorySegment out =
            trip.receive(
                width * tokens,
                host -> {
                  for (int token = 0; token < tokens; token++) {
                    MemorySegment.copy(host, width * token, kv, stride * token + 4L * first, width);
                  }
                });
        int type = Plans.type(Dtype.F32);
        parts.project(trip.stream(), in, type, tokens, first, count, out, count);
      });
    }
  }

  /** Stage gate. */
  final class CudaGate implements Backend.Gate {
    private final DeviceWeights.Gate gate;

    CudaGate(GateWeights weights) {
      this.gate = DeviceWeights.Gate.of(weights, memory);
    }

    @Override
    public void run(
        MemorySegment kv,
        HiddenStream hidden,
        MemorySegment mask,
        long tokens,
        MemorySegment gates,
        @Nullable MemorySegment gated) {
      if (tokens == 0) {
        return;
      }
      long width = (long) gate.branches() * gate.hiddenSize();
      long row = (long) gate.hiddenSize() * hidden.dtype().bytes();
      long streamBytes = streamBytes(hidden, tokens, gate.branches(), row);
      RoundTrip.Pieces pieces = pieces(hidden, tokens, gate.branches(), row);
      call(trip -> {
        MemorySegment in = trip.send(kv, 4 * tokens * (width + gate.hiddenSize()));
        MemorySegment stream =
            gated == null
                ? trip.exchange(hidden.data(), streamBytes, pieces)
                : trip.send(hidden.data(), streamBytes);
        MemorySegment live = trip.send(mask, tokens);
        MemorySegment out = trip.receive(gates, 4 * tokens * gate.branches());
        MemorySegment apart =
            gated == null ? MemorySegment.NULL : trip.receive(gated, 4 * tokens * width);
        CudaHidden there =
            new CudaHidden(stream, hidden.dtype(), hidden.tokenStride(), hidden.branchStride());
        int type = Plans.type(Dtype.F32);
        gate.run(trip.stream(), in, type, there, live, tokens, out, apart);
      });
    }
  }

  /** Stage conv. */
  final class CudaConv implements Backend.Conv {
    private final MemorySegment plan;
    private final int branches;
    private final int hiddenSize;
    private final int channels;
    private final int reach;

    CudaConv(ConvWeights weights) {
      this.plan = DeviceWeights.plans(memory).conv(weights);
      this.branches = weights.branches();
      this.hiddenSize = weights.hiddenSize();
      this.channels = weights.channels();
      this.reach = weights.reach();
    }

    @Override
    public void run(
        MemorySegment gated,
        MemorySegment window,
        int first,
        MemorySegment mask,
        long tokens,
        HiddenStream hidden) {
      if (tokens == 0) {
        return;
      }
      long bytes = 4L * tokens * channels;
      long before = 4L * reach * channels;
      MemorySegment rows = window.asSlice(4L * (first - reach) * channels, before + bytes);
      long row = (long) hiddenSize * hidden.dtype().bytes();
      RoundTrip.Pieces pieces = pieces(hidden, tokens, branches, row);
      call(trip -> {
        MemorySegment in = trip.exchange(gated, bytes, piece -> piece.take(0, bytes));
        MemorySegment memory =
            trip.exchange(rows, before + bytes, piece -> piece.take(before, bytes));
        MemorySegment live = trip.send(mask, tokens);
        MemorySegment stream =
            trip.exchange(hidden.data(), streamBytes(hidden, tokens, branches, row), pieces);
        CudaLibrary.check(
            "engram_cuda_conv",
            EngramCuda.engram_cuda_conv(
                trip.stream().queue(),
                plan,
                in,
                memory,
                reach,
                live,
                tokens,
                stream,
                Plans.type(hidden.dtype()),
                hidden.tokenStride(),
                hidden.branchStride()));
      });
    }
  }

  /** The bytes from a stream's first element to its last. */
  private static long streamBytes(HiddenStream hidden, long tokens, int branches, long row) {
    return (tokens - 1) * hidden.tokenStride() + (branches - 1) * hidden.branchStride() + row;
  }

  /** The branches of all tokens, between which something else may lie. */
  private static RoundTrip.Pieces pieces(HiddenStream hidden, long tokens, int branches, long row) {
    return piece -> {
      for (long token = 0; token < tokens; token++) {
        for (int branch = 0; branch < branches; branch++) {
          piece.take(token * hidden.tokenStride() + branch * hidden.branchStride(), row);
        }
      }
    };
  }
}
