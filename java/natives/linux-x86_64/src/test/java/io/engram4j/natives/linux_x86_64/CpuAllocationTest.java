package io.engram4j.natives.linux_x86_64;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.sun.management.ThreadMXBean;
import io.engram4j.Backends;
import io.engram4j.EngramBatch;
import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.model.Dtype;
import io.engram4j.model.HiddenStream;
import io.engram4j.tck.Golden;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.function.BiConsumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Decoding a token through the C kernels allocates nothing on the Java side. */
class CpuAllocationTest {
  @TempDir Path directory;

  @Test
  void hashAndGatherOfATokenAllocateNothing() throws IOException {
    try (Arena arena = Arena.ofShared()) {
      MemorySegment rowIds = arena.allocate(1 << 16);
      MemorySegment rows = arena.allocate(1 << 20);
      decode(
          "mini-v41",
          (model, batch) -> {
            EngramLayer layer = model.layers().getFirst();
            layer.hash(batch, rowIds);
            layer.gather(rowIds, model.config().columns(), rows, Dtype.F32);
          });
    }
  }

  @Test
  void aLookupOfATokenAllocatesNothing() throws IOException {
    try (Arena arena = Arena.ofShared()) {
      MemorySegment rowIds = arena.allocate(1 << 16);
      MemorySegment rows = arena.allocate(1 << 20);
      decode("mini-v41", (model, batch) -> model.lookup(batch, rowIds, rows, Dtype.F32));
    }
  }

  @Test
  void wholeLayersOfATokenAllocateNothing() throws IOException {
    try (Arena arena = Arena.ofShared()) {
      MemorySegment data = arena.allocate(1 << 20, 64);
      HiddenStream[] hidden = new HiddenStream[1];
      decode(
          "mini-v41",
          (model, batch) -> {
            if (hidden[0] == null) {
              int size = model.config().hiddenSize();
              hidden[0] = HiddenStream.of(data, Dtype.F32, model.config().branches(), size);
            }
            for (EngramLayer layer : model.layers()) {
              layer.apply(batch, hidden[0]);
            }
          });
    }
  }

  private void decode(String name, BiConsumer<EngramModel, EngramBatch> step) throws IOException {
    Golden.extract(directory);
    EngramDirectory golden = EngramDirectory.read(directory.resolve(name));
    try (EngramModel model = golden.open(Backends.named("cpu"))) {
      EngramSequence sequence = model.newSequence();
      sequence.append(new int[200_000]);
      sequence.truncate(0);
      EngramBatch batch = model.newBatch();
      ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
      long least = Long.MAX_VALUE;
      for (int round = 0; round < 190 && least > 0; round++) { // until all of it is compiled
        long before = threads.getCurrentThreadAllocatedBytes();
        for (int i = 0; i < 1_000; i++) {
          sequence.append(i % 800);
          step.accept(model, batch.clear().add(sequence, sequence.length() - 1, 1));
        }
        least = Math.min(least, threads.getCurrentThreadAllocatedBytes() - before);
      }
      assertEquals(0, least, "bytes allocated for 1,000 tokens");
    }
  }
}
