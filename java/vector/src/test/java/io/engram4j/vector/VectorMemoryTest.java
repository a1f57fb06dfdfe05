package io.engram4j.vector;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.Backends;
import io.engram4j.kernel.Backend;
import io.engram4j.kernel.java.JavaBackend;
import io.engram4j.model.Dtype;
import io.engram4j.model.HiddenStream;
import io.engram4j.table.RowType;
import io.engram4j.table.Table;
import io.engram4j.tck.ClosedMemory;
import io.engram4j.weights.GateWeights;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import org.junit.jupiter.api.Test;

/** Memory that is closed or another thread's is refused, and what is not asked for stays. */
class VectorMemoryTest {
  private static final int SIZE = 64;

  private final Backend backend = Backends.named("vector");
  private final SplittableRandom random = new SplittableRandom(3);
  private final MemorySegment kv = floats(2 * 2 * SIZE);
  private final MemorySegment mask = Arena.ofAuto().allocate(2).fill((byte) 1);
  private final MemorySegment gates = Arena.ofAuto().allocate(8);
  private final Table table =
      Table.interleaved(
          "table", RowType.F8_E4M3, 4, 32, Arena.ofAuto().allocate(4 * 33).fill((byte) 0x38));

  private MemorySegment floats(int count) {
    MemorySegment segment = Arena.ofAuto().allocate(4L * count, 64);
    for (int i = 0; i < count; i++) {
      segment.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
    }
    return segment;
  }

  private static GateWeights weights() {
    float[] ones = new float[SIZE];
    Arrays.fill(ones, 1);
    return new GateWeights(1, SIZE, ones, ones, 1e-20, GateWeights.ZeroRule.COPYSIGN);
  }

  private void gate(Backend which, HiddenStream hidden) {
    which.gate(weights(), Arena.global()).run(kv, hidden, mask, 2, gates, null);
  }

  @Test
  void closedMemoryIsRefused() {
    Arena arena = Arena.ofShared();
    MemorySegment data = arena.allocate(4L * 2 * SIZE);
    MemorySegment ids = arena.allocate(8);
    HiddenStream hidden = HiddenStream.of(data, Dtype.F32, 1, SIZE);
    arena.close();
    assertThrows(IllegalStateException.class, () -> gate(backend, hidden));
    MemorySegment rows = floats(32);
    Backend.Gather gather = backend.gather(table, Arena.global());
    assertThrows(IllegalStateException.class, () -> gather.run(ids, 1, rows, Dtype.F32));
    MemorySegment open = Arena.ofAuto().allocate(8);
    assertThrows(IllegalStateException.class, () -> gather.run(open, 1, data, Dtype.F32));
  }

  @Test
  void closingInTheMidstOfACallIsSeen() throws Exception {
    try (Arena kernels = Arena.ofShared()) {
      new ClosedMemory(backend, kernels).race(40);
    }
  }

  @Test
  void memoryOfAnotherThreadIsRefused() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment data = arena.allocate(4L * 2 * SIZE);
      HiddenStream hidden = HiddenStream.of(data, Dtype.F32, 1, SIZE);
      CompletionException wrong =
          assertThrows(
              CompletionException.class,
              () -> CompletableFuture.runAsync(() -> gate(backend, hidden)).join());
      assertTrue(wrong.getCause() instanceof WrongThreadException, wrong.toString());
    }
  }

  /** Two streams in one array, token by token: running one leaves the other's bytes alone. */
  @Test
  void whatLiesBetweenTokensOnTheHeapStays() {
    float[] both = new float[2 * 2 * SIZE];
    for (int i = 0; i < both.length; i++) {
      both[i] = (float) random.nextGaussian();
    }
    both[SIZE] = Float.NaN; // of the other stream
    float[] expected = both.clone();
    for (var run : List.of(backend, new JavaBackend())) {
      float[] own = run == backend ? both : expected;
      gate(run, new HiddenStream(MemorySegment.ofArray(own), Dtype.F32, 8L * SIZE, 4L * SIZE));
    }
    assertArrayEquals(expected, both, 1e-6f);
    assertTrue(Float.isNaN(both[SIZE]));
  }

  /** Prints what the provider says of itself. */
  static final class Ask {
    private Ask() {}

    public static void main(String[] args) {
      System.out.println(new VectorProvider().unavailable().orElse("available"));
    }
  }

  private static String ask(String... options) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(System.getProperty("java.home") + "/bin/java");
    command.addAll(List.of(options));
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), Ask.class.getName()));
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), output);
    return output;
  }

  @Test
  void saysWhatItNeeds() throws IOException, InterruptedException {
    String module = "--add-modules=jdk.incubator.vector";
    assertTrue(ask().contains("start java with --add-modules"));
    String denied = ask(module, "--illegal-native-access=deny"); // nothing native here
    assertTrue(denied.contains("available"), denied);
  }
}
