package io.engram4j;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.sun.management.ThreadMXBean;
import io.engram4j.model.Dtype;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import org.junit.jupiter.api.Test;

/** Decoding one token through hash and gather allocates nothing. */
class AllocationTest {
  @Test
  void hashAndGatherOfATokenAllocateNothing() {
    EngramModel model = TestModels.v41();
    EngramLayer layer = model.layers().getFirst();
    EngramSequence sequence = model.newSequence();
    sequence.append(new int[200_000]); // longer than what is decoded, so that it need not grow
    sequence.truncate(0);
    EngramBatch batch = model.newBatch();
    try (Arena arena = Arena.ofConfined()) {
      int columns = model.config().columns();
      MemorySegment rowIds = arena.allocate(8L * columns);
      MemorySegment rows = arena.allocate(4L * model.config().rowWidth());
      ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
      long least = Long.MAX_VALUE;
      // compiled code allocates nothing; until it is there, the interpreter makes var handle boxes
      for (int round = 0; round < 190 && least > 0; round++) {
        long before = threads.getCurrentThreadAllocatedBytes();
        for (int i = 0; i < 1_000; i++) {
          sequence.append(i % 99);
          batch.clear().add(sequence, sequence.length() - 1, 1);
          layer.hash(batch, rowIds);
          layer.gather(rowIds, columns, rows, Dtype.F32);
        }
        long after = threads.getCurrentThreadAllocatedBytes();
        least = Math.min(least, after - before);
      }
      assertEquals(0, least, "bytes allocated for 1,000 tokens");
    }
  }
}
