package io.engram4j.natives.linux_x86_64;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.sun.management.ThreadMXBean;
import io.engram4j.EngramBatch;
import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.backend.Backends;
import io.engram4j.format.Dtype;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.tck.Golden;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Decoding a token through the C kernels' hash and gather allocates nothing on the Java side. */
class CpuAllocationTest {
  @TempDir Path directory;

  @Test
  void hashAndGatherOfATokenAllocateNothing() throws IOException {
    Golden.extract(directory);
    EngramDirectory golden = EngramDirectory.read(directory.resolve("mini-v41"));
    try (EngramModel model = golden.open(Backends.named("cpu"));
        Arena arena = Arena.ofShared()) {
      EngramLayer layer = model.layers().getFirst();
      EngramSequence sequence = model.newSequence();
      sequence.append(new int[200_000]);
      sequence.truncate(0);
      EngramBatch batch = model.newBatch();
      int columns = model.config().columns();
      MemorySegment rowIds = arena.allocate(8L * columns);
      MemorySegment rows = arena.allocate(4L * model.config().rowWidth());
      ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
      long least = Long.MAX_VALUE;
      for (int round = 0; round < 190 && least > 0; round++) { // until all of it is compiled
        long before = threads.getCurrentThreadAllocatedBytes();
        for (int i = 0; i < 1_000; i++) {
          sequence.append(i % 800);
          batch.clear().add(sequence, sequence.length() - 1, 1);
          layer.hash(batch, rowIds);
          layer.gather(rowIds, columns, rows, Dtype.F32);
        }
        least = Math.min(least, threads.getCurrentThreadAllocatedBytes() - before);
      }
      assertEquals(0, least, "bytes allocated for 1,000 tokens");
    }
  }
}
