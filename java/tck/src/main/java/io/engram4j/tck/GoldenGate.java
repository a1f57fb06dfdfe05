package io.engram4j.tck;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import io.engram4j.format.Bfloat16;
import io.engram4j.hf.SafetensorsFile;
import io.engram4j.hf.TensorData;
import io.engram4j.hf.TensorInfo;
import io.engram4j.kernel.Backend;
import io.engram4j.model.Dtype;
import io.engram4j.model.HiddenStream;
import io.engram4j.weights.GateWeights;
import io.engram4j.weights.GateWeights.ZeroRule;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;

/** The gate alone, over the odd widths, zeros and extremes of {@code gate.safetensors}. */
final class GoldenGate {
  private final Backend backend;
  private final Map<String, TensorInfo> tensors;
  private final List<String> failures;
  private final Arena arena;
  private int count;

  private GoldenGate(Backend backend, Path file, List<String> failures, Arena arena)
      throws IOException {
    this.arena = arena;
    this.backend = backend;
    this.tensors = SafetensorsFile.open(file).tensors();
    this.failures = failures;
  }

  /** Checks every set in the file; returns how many tensors were compared. */
  static int check(Backend backend, Path file, List<String> failures) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      return new GoldenGate(backend, file, failures, arena).checkAll();
    }
  }

  private int checkAll() throws IOException {
    Set<String> sets = new TreeSet<>();
    for (String name : tensors.keySet()) {
      sets.add(name.substring(0, name.indexOf('.')));
    }
    for (String set : sets) {
      check(set);
    }
    return count;
  }

  private void check(String set) throws IOException {
    TensorInfo shape = get(set, "hidden");
    int tokens = Math.toIntExact(shape.shape().get(0));
    int branches = Math.toIntExact(shape.shape().get(1));
    int size = Math.toIntExact(shape.shape().get(2));
    GateWeights weights =
        new GateWeights(
            branches,
            size,
            floats(set, "q_weight"),
            floats(set, "k_weight"),
            1e-20,
            ZeroRule.COPYSIGN);
    MemorySegment kv = MemorySegment.ofArray(floats(set, "kv"));
    MemorySegment mask = MemorySegment.ofArray(new byte[tokens]);
    long[] marks = TensorData.longs(get(set, "mask"));
    for (int i = 0; i < tokens; i++) {
      mask.set(JAVA_BYTE, i, (byte) marks[i]);
    }
    float[] before = floats(set, "hidden");
    float[] wide = before.clone();
    float[] gates = new float[tokens * branches];
    backend
        .gate(weights, arena)
        .run(
            kv,
            HiddenStream.of(wide, branches, size),
            mask,
            tokens,
            MemorySegment.ofArray(gates),
            null);
    add(set, Compare.absolute("gate", gates, TensorData.doubles(get(set, "gate"))));
    add(set, Compare.norm("out", wide, TensorData.doubles(get(set, "out"))));
    MemorySegment narrow = MemorySegment.ofArray(new byte[2 * before.length]);
    for (int i = 0; i < before.length; i++) {
      narrow.setAtIndex(JAVA_SHORT_UNALIGNED, i, Bfloat16.fromFloat(before[i]));
    }
    HiddenStream stream = HiddenStream.of(narrow, Dtype.BF16, branches, size);
    MemorySegment again = MemorySegment.ofArray(new byte[4 * gates.length]);
    backend.gate(weights, arena).run(kv, stream, mask, tokens, again, null);
    float[] rounded = new float[before.length];
    for (int i = 0; i < rounded.length; i++) {
      rounded[i] = stream.get(0, i);
    }
    add(set, Compare.ulps("out_bf16", rounded, floats(set, "out_bf16")));
    float[] same = new float[gates.length];
    MemorySegment.copy(again, JAVA_FLOAT_UNALIGNED, 0, same, 0, same.length);
    add(set, Compare.absolute("gate on bf16", same, TensorData.doubles(get(set, "gate"))));
  }

  private void add(String set, TensorResult result) {
    count++;
    if (!result.passed()) {
      failures.add("gate.safetensors " + set + ": " + result);
    }
  }

  private TensorInfo get(String set, String name) {
    return Objects.requireNonNull(tensors.get(set + "." + name));
  }

  private float[] floats(String set, String name) throws IOException {
    return TensorData.floats(get(set, name));
  }
}
