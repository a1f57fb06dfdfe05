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
import java.lang.ref.Cleaner;
import java.lang.ref.Reference;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** The stages of the {@code cuda} backend: weights on the device, data there and back by call. */
final class CudaKernels {
  private static final Cleaner CLEANER = Cleaner.create();

  private final int device;
  private final ConcurrentLinkedQueue<RoundTrip> free;

  CudaKernels(int device) {
    this.device = device;
    ConcurrentLinkedQueue<RoundTrip> trips = new ConcurrentLinkedQueue<>();
    this.free = trips;
    CLEANER.register(this, () -> trips.forEach(RoundTrip::close));
  }

  /**
   * Runs a kernel's call with memory that no other thread uses meanwhile. The kernel is kept until
   * then: nothing else may, and with it goes its weights' memory.
   */
  private void call(Object kernel, Consumer<RoundTrip> work) {
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
    } finally {
      Reference.reachabilityFence(kernel);
      Reference.reachabilityFence(this);
    }
    free.add(trip);
  }

  /** Memory of a kernel's weights, which is freed when nobody has the kernel any more. */
  private DeviceMemory memoryOf(Object kernel) {
    DeviceMemory memory = new DeviceMemory(device);
    CLEANER.register(kernel, memory::close);
    return memory;
  }

  /** Stage hash. */
  final class CudaHash implements Backend.Hash {
    private final MemorySegment plan;
    private final int window;
    private final int columns;

    CudaHash(LayerLayout layout) {
      this.plan = DeviceWeights.layouts(List.of(layout), memoryOf(this));
      this.window = layout.maxNgram();
      this.columns = layout.columns();
    }

    @Override
    public void run(MemorySegment windows, long tokens, MemorySegment rowIds) {
      call(
          this,
          trip -> {
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
        Table read = Table.interleaved(table.name(), table.type(), count, table.headDim(), rows);
        call(
            this,
            trip -> {
              MemorySegment ids = trip.send(places, 8 * count);
              MemorySegment sent = trip.send(rows, bytes);
              Plans plans =
                  new Plans(
                      arena,
                      part ->
                          MemorySegment.ofAddress(
                              sent.address() + part.address() - rows.address()));
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
      this.parts = DeviceWeights.Parts.of(projection, memoryOf(this));
      this.inputs = projection.inputs();
    }

    @Override
    public void run(MemorySegment rows, int tokens, int first, int count, MemorySegment kv) {
      if (tokens == 0 || count == 0) {
        return;
      }
      call(
          this,
          trip -> {
            MemorySegment in = trip.send(rows, 4L * tokens * inputs);
            long width = 4L * count;
            long stride = 4L * parts.width();
            MemorySegment out =
                trip.receive(
                    width * tokens,
                    host -> {
                      for (int token = 0; token < tokens; token++) {
                        MemorySegment.copy(
                            host, width * token, kv, stride * token + 4L * first, width);
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
      this.gate = DeviceWeights.Gate.of(weights, memoryOf(this));
    }

    @Override
    public void update(
        MemorySegment kv,
        HiddenStream hidden,
        MemorySegment mask,
        long tokens,
        MemorySegment gates) {
      run(kv, hidden, mask, tokens, gates, null);
    }

    @Override
    public void values(
        MemorySegment kv,
        HiddenStream hidden,
        MemorySegment mask,
        long tokens,
        MemorySegment gates,
        MemorySegment gated) {
      run(kv, hidden, mask, tokens, gates, gated);
    }

    private void run(
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
      long streamBytes =
          (tokens - 1) * hidden.tokenStride() + (gate.branches() - 1) * hidden.branchStride() + row;
      RoundTrip.Pieces pieces =
          piece -> {
            for (long token = 0; token < tokens; token++) {
              for (int branch = 0; branch < gate.branches(); branch++) {
                piece.take(token * hidden.tokenStride() + branch * hidden.branchStride(), row);
              }
            }
          };
      call(
          this,
          trip -> {
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
    private final int channels;
    private final int reach;

    CudaConv(ConvWeights weights) {
      this.plan = DeviceWeights.plans(memoryOf(this)).conv(weights);
      this.channels = weights.channels();
      this.reach = weights.reach();
    }

    @Override
    public void run(MemorySegment gated, MemorySegment window, long tokens, MemorySegment delta) {
      if (tokens == 0) {
        return;
      }
      long bytes = 4L * tokens * channels;
      long before = 4L * reach * channels;
      call(
          this,
          trip -> {
            MemorySegment in = trip.send(gated, bytes);
            MemorySegment memory =
                trip.exchange(window, before + bytes, piece -> piece.take(before, bytes));
            MemorySegment out = trip.receive(delta, bytes);
            CudaLibrary.check(
                "engram_cuda_conv",
                EngramCuda.engram_cuda_conv(trip.stream().queue(), plan, in, memory, tokens, out));
          });
    }
  }
}
