package io.engram4j.cuda;

import io.engram4j.bindings.cuda.EngramCuda;
import io.engram4j.bindings.cuda.engram_cuda_layouts;
import io.engram4j.bridge.Plans;
import io.engram4j.model.LayerLayout;
import io.engram4j.weights.ConvWeights;
import io.engram4j.weights.GateWeights;
import io.engram4j.weights.Projection;
import java.lang.foreign.MemorySegment;
import java.util.List;

/** Layouts and weights in a device's memory, as structs that the calls take. */
final class DeviceWeights {
  private DeviceWeights() {}

  /** The layouts of layers that are alike but for their numbers. */
  static MemorySegment layouts(List<LayerLayout> layouts, DeviceMemory memory) {
    LayerLayout first = layouts.getFirst();
    int columns = first.columns();
    int orders = first.maxNgram();
    long[] multipliers = new long[layouts.size() * orders];
    long[] primes = new long[layouts.size() * columns];
    long[] offsets = new long[layouts.size() * columns];
    for (int layer = 0; layer < layouts.size(); layer++) {
      LayerLayout layout = layouts.get(layer);
      for (int shift = 0; shift < orders; shift++) {
        multipliers[layer * orders + shift] = layout.multiplier(shift);
      }
      for (int column = 0; column < columns; column++) {
        primes[layer * columns + column] = layout.prime(column);
        offsets[layer * columns + column] = layout.offset(column);
      }
    }
    MemorySegment plan = engram_cuda_layouts.allocate(memory.structs());
    engram_cuda_layouts.struct_size(plan, (int) engram_cuda_layouts.sizeof());
    engram_cuda_layouts.layers(plan, layouts.size());
    engram_cuda_layouts.max_ngram(plan, orders);
    engram_cuda_layouts.heads(plan, first.headsPerNgram());
    engram_cuda_layouts.multipliers(plan, memory.upload(MemorySegment.ofArray(multipliers)));
    engram_cuda_layouts.primes(plan, memory.upload(MemorySegment.ofArray(primes)));
    engram_cuda_layouts.offsets(plan, memory.upload(MemorySegment.ofArray(offsets)));
    return plan;
  }

  /** Writes weights of a gate or convolution. */
  static Plans plans(DeviceMemory memory) {
    return new Plans(memory.structs(), memory::upload);
  }

  /** A projection's parts, side by side. */
  record Parts(List<Part> parts, int width) {
    /** One linear map. */
    private record Part(MemorySegment plan, int outputs) {}

    static Parts of(Projection projection, DeviceMemory memory) {
      Plans plans = DeviceWeights.plans(memory);
      List<Part> parts =
          projection.parts().stream()
              .map(part -> new Part(plans.linear(part), part.outputs()))
              .toList();
      return new Parts(parts, projection.outputs());
    }

    /** Queues the outputs [first, first + count) of all parts together, rows `stride` apart. */
    void project(
        CudaStream stream,
        MemorySegment rows,
        int rowType,
        long tokens,
        int first,
        int count,
        MemorySegment out,
        long stride) {
      int column = 0;
      for (Part part : parts) {
        int begin = Math.max(0, first - column);
        int end = Math.min(part.outputs(), first + count - column);
        if (begin < end) {
          MemorySegment own =
              MemorySegment.ofAddress(out.address() + 4L * (column + begin - first));
          CudaLibrary.check(
              "engram_cuda_project",
              EngramCuda.engram_cuda_project(
                  stream.queue(),
                  part.plan(),
                  rows,
                  rowType,
                  tokens,
                  begin,
                  end - begin,
                  own,
                  stride));
        }
        column += part.outputs();
      }
    }
  }

  /** A gate. */
  record Gate(MemorySegment plan, int branches, int hiddenSize) {
    static Gate of(GateWeights weights, DeviceMemory memory) {
      return new Gate(plans(memory).gate(weights), weights.branches(), weights.hiddenSize());
    }

    /** Queues the gate; gated may be NULL. */
    void run(
        CudaStream stream,
        MemorySegment kv,
        int kvType,
        CudaHidden hidden,
        MemorySegment mask,
        long tokens,
        MemorySegment gates,
        MemorySegment gated) {
      CudaLibrary.check(
          "engram_cuda_gate",
          EngramCuda.engram_cuda_gate(
              stream.queue(),
              plan,
              kv,
              kvType,
              hidden.data(),
              Plans.type(hidden.dtype()),
              hidden.tokenStride(),
              hidden.branchStride(),
              mask,
              tokens,
              gates,
              gated));
    }
  }

  /** A convolution. */
  record Conv(MemorySegment plan, int channels, int reach) {
    static Conv of(ConvWeights weights, DeviceMemory memory) {
      return new Conv(plans(memory).conv(weights), weights.channels(), weights.reach());
    }

    /** Queues the convolution of tokens that begin at a row of the window. */
    void run(
        CudaStream stream,
        MemorySegment gated,
        MemorySegment window,
        long first,
        MemorySegment mask,
        long tokens,
        CudaHidden hidden) {
      CudaLibrary.check(
          "engram_cuda_conv",
          EngramCuda.engram_cuda_conv(
              stream.queue(),
              plan,
              gated,
              window,
              first,
              mask,
              tokens,
              hidden.data(),
              Plans.type(hidden.dtype()),
              hidden.tokenStride(),
              hidden.branchStride()));
    }
  }
}
