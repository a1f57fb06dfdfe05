package io.engram4j.tck;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import io.engram4j.EngramBatch;
import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.SequenceSnapshot;
import io.engram4j.format.Bfloat16;
import io.engram4j.hf.SafetensorsFile;
import io.engram4j.hf.TensorData;
import io.engram4j.hf.TensorInfo;
import io.engram4j.model.Dtype;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.HiddenStream;
import io.engram4j.model.Stage;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * Compares what a model computes with every stage rounded to bf16 ({@link
 * EngramModel#withBf16Stages}) with a truth file's {@code layers.L.bf16.gate}, {@code .delta},
 * {@code .out} and {@code .conv_state_out}, from {@code .conv_state_in} on. At least 99 of 100
 * elements must have equal bits and the others lie a step apart: sums in another order flip some.
 */
public final class Bf16Verifier {
  private static final double MOST_DIFFERING = 0.01;

  private final EngramConfig config;
  private final Map<String, TensorInfo> truth;
  private final int tokens;
  private final List<TensorResult> results = new ArrayList<>();

  private Bf16Verifier(EngramConfig config, Map<String, TensorInfo> truth, int tokens) {
    this.config = config;
    this.truth = truth;
    this.tokens = tokens;
  }

  /**
   * Compares the model with one truth file.
   *
   * @return a result per tensor, none if the file has no such tensors
   * @throws IOException if the file is broken or does not fit the model
   */
  public static List<TensorResult> verify(EngramModel model, Path file) throws IOException {
    Map<String, TensorInfo> truth = SafetensorsFile.open(file).tensors();
    if (truth.keySet().stream().noneMatch(name -> name.contains(".bf16."))) {
      return List.of();
    }
    int[] ids = ids(truth, "input_ids");
    Bf16Verifier verifier = new Bf16Verifier(model.config(), truth, ids.length);
    try (EngramModel rounded = model.withBf16Stages()) {
      verifier.run(rounded, ids);
    }
    return verifier.results;
  }

  private static int[] ids(Map<String, TensorInfo> truth, String name) throws IOException {
    return Arrays.stream(TensorData.longs(tensor(truth, name)))
        .mapToInt(Math::toIntExact)
        .toArray();
  }

  private static TensorInfo tensor(Map<String, TensorInfo> truth, String name) throws IOException {
    TensorInfo tensor = truth.get(name);
    if (tensor == null) {
      throw new IOException("the truth file has no tensor " + name);
    }
    return tensor;
  }

  private void run(EngramModel model, int[] ids) throws IOException {
    int reach = (config.convKernel() - 1) * config.convDilation();
    int lookBack = config.maxNgram() - 1;
    int[] last = Arrays.stream(ids(truth, "history")).map(model.map()::get).toArray();
    List<float[]> windows = new ArrayList<>();
    for (EngramLayer layer : model.layers()) {
      windows.add(floats("layers." + layer.id() + ".bf16.conv_state_in"));
    }
    EngramSequence sequence = model.restore(SequenceSnapshot.of(lookBack + reach, last, windows));
    sequence.append(ids);
    EngramBatch batch = model.newBatch().add(sequence, lookBack + reach, tokens);
    for (EngramLayer layer : model.layers()) {
      layer(layer, batch);
    }
    List<float[]> left = sequence.snapshot().convWindows();
    for (int i = 0; i < left.size(); i++) {
      String name = "layers." + model.layers().get(i).id() + ".bf16.conv_state_out";
      compare(name, left.get(i), floats(name));
    }
  }

  private void layer(EngramLayer layer, EngramBatch batch) throws IOException {
    String prefix = "layers." + layer.id() + ".";
    float[] before = floats(prefix + "hidden");
    MemorySegment stream = MemorySegment.ofArray(new short[before.length]);
    for (int i = 0; i < before.length; i++) {
      stream.setAtIndex(JAVA_SHORT_UNALIGNED, i, Bfloat16.fromFloat(before[i]));
    }
    int branches = config.branches();
    float[] gates = new float[tokens * branches];
    float[] added = new float[before.length];
    layer.apply(
        batch,
        HiddenStream.of(stream, Dtype.BF16, branches, config.hiddenSize()),
        (stage, first, count, data, nanos) -> {
          if (stage == Stage.GATE) {
            MemorySegment.copy(
                data, JAVA_FLOAT_UNALIGNED, 0, gates, first * branches, count * branches);
          } else if (stage == Stage.CONV) {
            int width = config.streamWidth();
            MemorySegment.copy(data, JAVA_FLOAT_UNALIGNED, 0, added, first * width, count * width);
          }
        });
    float[] after = new float[before.length];
    for (int i = 0; i < after.length; i++) {
      after[i] = Bfloat16.toFloat(stream.getAtIndex(JAVA_SHORT_UNALIGNED, i));
    }
    compare(prefix + "bf16.gate", gates, floats(prefix + "bf16.gate"));
    compare(prefix + "bf16.delta", added, floats(prefix + "bf16.delta"));
    compare(prefix + "bf16.out", after, floats(prefix + "bf16.out"));
  }

  private float[] floats(String name) throws IOException {
    return TensorData.floats(tensor(truth, name));
  }

  private void compare(String name, float[] actual, float[] expected) {
    long differing = Math.abs(actual.length - expected.length);
    boolean far = differing > 0;
    for (int i = 0; i < Math.min(actual.length, expected.length); i++) {
      if (actual[i] != expected[i]) {
        differing++;
        float largest = Math.max(Math.abs(actual[i]), Math.abs(expected[i]));
        far |= !(Math.abs(actual[i] - expected[i]) <= largest / 128); // a step of bf16
      }
    }
    double error = far ? 1 : differing / (double) expected.length;
    results.add(new TensorResult(name, expected.length, "differing", error, MOST_DIFFERING));
  }
}
