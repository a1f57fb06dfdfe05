package io.engram4j.tck;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.Backends;
import io.engram4j.kernel.Backend;
import io.engram4j.kernel.BackendProvider;
import io.engram4j.kernel.StagewiseLookup;
import io.engram4j.kernel.java.JavaBackend;
import io.engram4j.model.Dtype;
import io.engram4j.model.HiddenStream;
import io.engram4j.model.LayerLayout;
import io.engram4j.table.RowType;
import io.engram4j.table.Table;
import io.engram4j.weights.ConvWeights;
import io.engram4j.weights.GateWeights;
import io.engram4j.weights.Projection;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Every available backend conforms, and the suite notices each way in which one can be wrong. */
class ConformanceTest {
  @Test
  void everyAvailableBackendConforms() throws IOException {
    for (BackendProvider provider : Backends.providers()) {
      if (provider.unavailable().isPresent()) {
        continue;
      }
      Conformance.Report report = Conformance.of(provider.create()).run();
      String line =
          "conformance of " + report.backend() + ", seed " + report.seed() + ", " + report.cases();
      System.out.println(line);
      Path counts = Files.createDirectories(Path.of("target", "case-counts"));
      Files.writeString(
          counts.resolve("conformance-" + report.backend() + ".txt"),
          line + ", cases: " + report.total() + "\n");
      report.requirePassed();
      assertTrue(report.total() > 2000, "too few cases: " + report);
    }
  }

  /** Ways to be wrong. */
  enum Fault {
    HASH_OFF_BY_ONE,
    HASH_WRITES_BEYOND,
    GATHER_SCALE_255_IS_INFINITE,
    GATHER_TRUNCATES_BF16,
    GATHER_ACCEPTS_ANY_ID,
    PROJECT_FORGETS_BIAS,
    PROJECT_IMPRECISE,
    GATE_IGNORES_MASK,
    GATE_ZERO_RULE,
    CONV_SHIFTED,
    CONV_IGNORES_MASK,
    CONV_LEAVES_STREAM,
    LOOKUP_SWAPS_LAYERS
  }

  /** With a seed of its own: of any, one in fifty had no case with rows of the faulty type. */
  @ParameterizedTest
  @EnumSource(Fault.class)
  void noticesAFault(Fault fault) throws IOException {
    Conformance.Report report = Conformance.of(new Faulty(fault)).seed(1).cases(150).run();
    assertFalse(report.failures().isEmpty(), fault + " went unnoticed, seed " + report.seed());
    String stage =
        fault.name().substring(0, fault.name().indexOf('_')).toLowerCase(java.util.Locale.ROOT);
    assertTrue(
        report.failures().stream().anyMatch(f -> f.startsWith(stage + " case")),
        fault + " was noticed only as " + report.failures());
  }

  /** The Java backend with one fault. */
  private static final class Faulty implements Backend {
    private final Backend right = new JavaBackend();
    private final Fault fault;

    Faulty(Fault fault) {
      this.fault = fault;
    }

    @Override
    public String name() {
      return fault.name();
    }

    @Override
    public String description() {
      return "wrong on purpose";
    }

    @Override
    public Hash hash(LayerLayout layout, Arena arena) {
      Hash kernel = right.hash(layout, arena);
      return (windows, tokens, out) -> hash(kernel, layout, windows, tokens, out);
    }

    private void hash(
        Hash kernel, LayerLayout layout, MemorySegment windows, long tokens, MemorySegment out) {
      kernel.run(windows, tokens, out);
      if (fault == Fault.HASH_OFF_BY_ONE && tokens > 0) {
        long last = tokens * layout.columns() - 1;
        long id = out.getAtIndex(ValueLayout.JAVA_LONG_UNALIGNED, last);
        out.setAtIndex(ValueLayout.JAVA_LONG_UNALIGNED, last, id + 1);
      }
      if (fault == Fault.HASH_WRITES_BEYOND && !out.isNative()) {
        // what a native kernel with a wrong length would do
        byte[] array = (byte[]) out.heapBase().orElseThrow();
        int end = (int) (out.address() + out.byteSize());
        array[Math.min(end, array.length - 1)] = 1;
      }
    }

    @Override
    public Gather gather(Table table, Arena arena) {
      Gather kernel = right.gather(table, arena);
      return (rowIds, count, out, outType) -> gather(kernel, table, rowIds, count, out, outType);
    }

    @Override
    public Lookup lookup(List<LayerLayout> layouts, List<Table> tables, Arena arena) {
      boolean swapped = fault == Fault.LOOKUP_SWAPS_LAYERS;
      return new StagewiseLookup(
          right,
          swapped ? layouts.reversed() : layouts,
          swapped ? tables.reversed() : tables,
          arena);
    }

    private void gather(
        Gather kernel,
        Table table,
        MemorySegment rowIds,
        long count,
        MemorySegment out,
        Dtype outType) {
      try {
        kernel.run(rowIds, count, out, outType);
      } catch (IndexOutOfBoundsException e) {
        if (fault != Fault.GATHER_ACCEPTS_ANY_ID) {
          throw e;
        }
      }
      HiddenStream values = new HiddenStream(out, outType, 0, 0);
      for (int i = 0; i < count * table.headDim(); i++) {
        float value = values.get(0, i);
        if (fault == Fault.GATHER_SCALE_255_IS_INFINITE && Float.isNaN(value)) {
          values.set(0, i, Float.POSITIVE_INFINITY);
        } else if (fault == Fault.GATHER_TRUNCATES_BF16 && table.type() == RowType.F32) {
          values.set(0, i, Float.intBitsToFloat(Float.floatToIntBits(value) & 0xffff0000));
        }
      }
    }

    @Override
    public Project project(Projection projection, Arena arena) {
      Project kernel = right.project(projection, arena);
      return (rows, tokens, first, count, kv) -> {
        kernel.run(rows, tokens, first, count, kv);
        spoil(projection, tokens, first, count, kv);
      };
    }

    private void spoil(Projection projection, int tokens, int first, int count, MemorySegment kv) {
      HiddenStream values = new HiddenStream(kv, Dtype.F32, 0, 0);
      for (int i = 0; i < tokens * projection.outputs(); i++) {
        int output = i % projection.outputs();
        if (output < first || output >= first + count) {
          continue;
        }
        if (fault == Fault.PROJECT_FORGETS_BIAS && i < projection.parts().getFirst().outputs()) {
          values.set(0, i, values.get(0, i) - projection.parts().getFirst().bias(i));
        } else if (fault == Fault.PROJECT_IMPRECISE) {
          values.set(0, i, values.get(0, i) * 1.00001f);
        }
      }
    }

    @Override
    public Gate gate(GateWeights weights, Arena arena) {
      Gate kernel = right.gate(rule(weights), arena);
      return (kv, hidden, mask, tokens, gates, gated) ->
          kernel.run(kv, hidden, masked(mask), tokens, gates, gated);
    }

    private MemorySegment masked(MemorySegment mask) {
      return fault == Fault.GATE_IGNORES_MASK ? all(mask) : mask;
    }

    private static MemorySegment all(MemorySegment mask) {
      return MemorySegment.ofArray(new byte[(int) mask.byteSize()]).fill((byte) 1);
    }

    private GateWeights rule(GateWeights weights) {
      if (fault != Fault.GATE_ZERO_RULE) {
        return weights;
      }
      int size = weights.branches() * weights.hiddenSize();
      float[] product = new float[size];
      float[] ones = new float[size];
      for (int i = 0; i < size; i++) {
        product[i] = weights.product(i / weights.hiddenSize(), i % weights.hiddenSize());
        ones[i] = 1;
      }
      return new GateWeights(
          weights.branches(),
          weights.hiddenSize(),
          product,
          ones,
          weights.eps(),
          weights.zeroRule() == GateWeights.ZeroRule.SIGNUM
              ? GateWeights.ZeroRule.COPYSIGN
              : GateWeights.ZeroRule.SIGNUM);
    }

    @Override
    public Conv conv(ConvWeights weights, Arena arena) {
      Conv kernel = right.conv(weights, arena);
      return (gated, window, first, mask, tokens, hidden) -> {
        boolean ignores = fault == Fault.CONV_IGNORES_MASK;
        kernel.run(gated, window, first, ignores ? all(mask) : mask, tokens, hidden);
        if (fault == Fault.CONV_SHIFTED && tokens > 1) {
          long row = 4L * weights.channels();
          MemorySegment.copy(gated, 0, gated, row, row);
        }
        if (fault == Fault.CONV_LEAVES_STREAM && tokens > 0) {
          hidden.set(0, 0, hidden.get(0, 0) + 1);
        }
      };
    }
  }

  @Test
  void aSeedRepeatsARun() throws IOException {
    List<String> first =
        Conformance.of(new Faulty(Fault.PROJECT_IMPRECISE)).seed(7).cases(20).run().failures();
    List<String> second =
        Conformance.of(new Faulty(Fault.PROJECT_IMPRECISE)).seed(7).cases(20).run().failures();
    assertFalse(first.isEmpty());
    org.junit.jupiter.api.Assertions.assertEquals(first, second);
  }
}
