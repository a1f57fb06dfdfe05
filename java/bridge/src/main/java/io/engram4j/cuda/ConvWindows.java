package io.engram4j.cuda;

import io.engram4j.bindings.cuda.EngramCuda;
import io.engram4j.run.ConvState;
import io.engram4j.run.SequenceState;
import io.engram4j.run.Windows;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * A layer's convolution in a step: the rows that tokens look back on go to the device, and those of
 * the last tokens come back behind the kernel. The sequence takes them in when it, or this, next
 * needs them, so that nothing waits for the device in between.
 */
final class ConvWindows {
  /** A run of one sequence's tokens, as it was when the batch was prefetched. */
  private record Part(SequenceState sequence, int truncations, int position, int start, int count) {
    int kept(int layerIndex, int reach) {
      return Math.min(count, reach + sequence.convState(layerIndex).rollback());
    }
  }

  private final int layerIndex;
  private final DeviceWeights.Conv conv;
  private final DeviceMemory memory;
  private final long row; // bytes
  private final MemorySegment gated;
  private final MemorySegment window; // [reach + maxTokens, channels], for one part after the other
  private final MemorySegment stored; // event: what comes back is there
  private final List<Part> parts = new ArrayList<>();
  private final List<ConvState> pending = new ArrayList<>();
  private MemorySegment host = MemorySegment.NULL; // per part [reach + kept, channels]

  ConvWindows(int layerIndex, DeviceWeights.Conv conv, int maxTokens, DeviceMemory memory) {
    this.layerIndex = layerIndex;
    this.conv = conv;
    this.memory = memory;
    this.row = 4L * conv.channels();
    this.gated = memory.allocate(row * maxTokens);
    this.window = memory.allocate(row * (conv.reach() + (long) maxTokens));
    this.stored = memory.event();
  }

  /** Returns where the gate leaves what is convolved, float32 [tokens, channels]. */
  MemorySegment gated() {
    return gated;
  }

  /** Takes the sequences of a batch, which may change afterwards. */
  void read(Windows windows) {
    parts.clear();
    for (int part = 0; part < windows.parts(); part++) {
      int start = windows.start(part);
      int count = windows.end(part) - start;
      SequenceState sequence = windows.sequence(part);
      if (count > 0) {
        int position = windows.position(part, start);
        parts.add(new Part(sequence, sequence.truncations(), position, start, count));
      }
    }
  }

  /**
   * Queues the convolution of all tokens behind the gate.
   *
   * @throws IllegalStateException if a sequence was truncated, or has not seen the tokens before;
   *     then nothing of this was queued
   */
  void run(CudaStream stream, MemorySegment mask, CudaHidden hidden) {
    settle(); // the host's memory is used again
    requireConvolvable();
    long rows =
        parts.stream().mapToLong(part -> conv.reach() + part.kept(layerIndex, conv.reach())).sum();
    if (host.byteSize() < rows * row) {
      host = memory.pinned(rows * row);
    }
    long at = 0;
    for (Part part : parts) {
      long bytes = row * (conv.reach() + part.kept(layerIndex, conv.reach()));
      convolve(part, host.asSlice(at, bytes), stream, mask, hidden);
      at += bytes;
    }
  }

  private void requireConvolvable() {
    for (int i = 0; i < parts.size(); i++) {
      Part part = parts.get(i);
      if (part.sequence.truncations() != part.truncations) {
        throw new IllegalStateException(
            "a sequence was truncated after its tokens were prefetched; prefetch them again");
      }
      ConvState state = part.sequence.convState(layerIndex);
      if (!state.loadable(part.position) && !goesOn(i)) {
        state.requireLoadable(part.position); // throws, with the reason
      }
    }
  }

  /** Whether an earlier part of the same sequence ends where this one begins, or later. */
  private boolean goesOn(int index) {
    Part part = parts.get(index);
    return parts.subList(0, index).stream()
        .anyMatch(before ->
            before.sequence == part.sequence && before.position + before.count >= part.position);
  }

  private void convolve(
      Part part, MemorySegment own, CudaStream stream, MemorySegment mask, CudaHidden hidden) {
    int reach = conv.reach();
    int kept = part.kept(layerIndex, reach);
    ConvState state = part.sequence.convState(layerIndex);
    state.load(part.position, own); // settles what an earlier part of the sequence has begun
    stream.copy(window, own, row * reach);
    conv.run(
        stream,
        at(gated, row * part.start),
        window,
        reach,
        at(mask, part.start),
        part.count,
        new CudaHidden(
            at(hidden.data(), hidden.tokenStride() * part.start),
            hidden.dtype(),
            hidden.tokenStride(),
            hidden.branchStride()));
    MemorySegment last = at(window, row * (reach + part.count - kept));
    stream.copy(own.asSlice(row * reach), last, row * kept);
    stream.record(stored);
    int from = part.position + part.count - kept;
    state.storeLater(
        from,
        kept,
        () -> {
          CudaLibrary.check(
              "engram_cuda_event_synchronize",
              EngramCuda.engram_cuda_event_synchronize(memory.device(), stored));
          return own;
        });
    pending.add(state);
  }

  private static MemorySegment at(MemorySegment device, long bytes) {
    return MemorySegment.ofAddress(device.address() + bytes);
  }

  /** Gives the sequences what the device has computed for them. */
  void settle() {
    List<ConvState> states = List.copyOf(pending);
    pending.clear();
    states.forEach(ConvState::settle);
  }
}
