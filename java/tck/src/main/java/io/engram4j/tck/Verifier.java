package io.engram4j.tck;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;
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
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Compares a model with truth files: {@code expected-NAME.safetensors}, each one sequence through
 * the model with every intermediate, as another engine or an oracle dumped it. Tensors: {@code
 * input_ids}, optionally {@code dead} and {@code compressed_ids}, and per layer L, all optional,
 * {@code layers.L.hash_ids}, {@code .rows}, {@code .kv} or {@code .key} and {@code .value}, {@code
 * .hidden} (the stream before, which the others need), {@code .gate}, {@code .out}, {@code
 * .out_bf16}, {@code .delta}. With {@code history}, the last ids before the sequence, and {@code
 * layers.L.conv_state_in} it goes on from there; {@code history_out} and {@code .conv_state_out}
 * are how it is left.
 */
public final class Verifier {
  private static final Pattern LAYER_TENSOR =
      Pattern.compile(
          "(.*\\.)?layers\\.\\d+\\.(hash_ids|rows|kv|key|value|hidden|gate|out|out_bf16|delta"
              + "|conv_state_in|conv_state_out)");

  private final EngramModel model;
  private final EngramConfig config;
  private final Map<String, TensorInfo> truth;
  private final Path file;
  private final Set<String> known = new HashSet<>();
  private final List<TensorResult> results = new ArrayList<>();
  private final EngramSequence sequence;
  private final EngramBatch batch;
  private final int tokens;

  private Verifier(EngramModel given, Path file) throws IOException {
    this.config = given.config();
    this.file = file;
    this.truth = SafetensorsFile.open(file).tensors();
    TensorInfo input = take("input_ids");
    if (input == null) {
      throw new IOException(file + " has no tensor input_ids");
    }
    int[] ids = Arrays.stream(TensorData.longs(input)).mapToInt(Verifier::toTokenId).toArray();
    this.tokens = ids.length;
    if (tokens == 0) {
      throw new IOException(file + " has no tokens, so nothing can be compared");
    }
    // layers are applied twice, as floats and as bf16
    this.model = config.convKernel() > 0 ? given.withRollback(Math.min(tokens, 1 << 16)) : given;
    this.sequence = begin();
    int before = sequence.length();
    TensorInfo dead = take("dead", tokens);
    if (dead == null) {
      sequence.append(ids);
    } else {
      long[] marks = TensorData.longs(dead);
      boolean[] flags = new boolean[tokens];
      for (int i = 0; i < tokens; i++) {
        flags[i] = marks[i] != 0;
      }
      sequence.append(ids, flags);
    }
    this.batch = this.model.newBatch().add(sequence, before, tokens);
    TensorInfo compressed = take("compressed_ids", tokens);
    if (compressed != null) {
      long[] actual = Arrays.stream(ids).mapToLong(id -> compressed(model, id)).toArray();
      results.add(Compare.exact("compressed_ids", actual, TensorData.longs(compressed)));
    }
  }

  /** Begins a sequence, where the file says what was before it. */
  private EngramSequence begin() throws IOException {
    int lookBack = config.maxNgram() - 1;
    TensorInfo history = take("history", lookBack);
    if (history == null) {
      return model.newSequence();
    }
    int[] last =
        Arrays.stream(TensorData.longs(history))
            .mapToInt(id -> model.map().get(toTokenId(id)))
            .toArray();
    int reach = config.convKernel() > 0 ? (config.convKernel() - 1) * config.convDilation() : 0;
    List<float[]> windows = new ArrayList<>();
    for (EngramLayer layer : model.layers()) {
      if (reach > 0) {
        TensorInfo state =
            take("layers." + layer.id() + ".conv_state_in", reach, config.streamWidth());
        windows.add(
            state == null ? new float[reach * config.streamWidth()] : TensorData.floats(state));
      }
    }
    return model.restore(SequenceSnapshot.of(lookBack + reach, last, windows));
  }

  /** Ids that only mark images have none. */
  private static int compressed(EngramModel model, int id) {
    return id < 0 || id >= model.map().size() ? -1 : model.map().get(id);
  }

  private static int toTokenId(long id) {
    if (id != (int) id) {
      throw new IndexOutOfBoundsException("token id " + id + " is outside any vocabulary");
    }
    return (int) id;
  }

  /**
   * Compares the model with one truth file.
   *
   * @return a result per tensor
   * @throws IOException if the file is broken or does not fit the model
   */
  public static List<TensorResult> verify(EngramModel model, Path file) throws IOException {
    try {
      return new Verifier(model, file).run();
    } catch (IndexOutOfBoundsException | ArithmeticException e) {
      throw new IOException(file + " does not fit the model: " + e.getMessage(), e);
    }
  }

  private List<TensorResult> run() throws IOException {
    for (EngramLayer layer : model.layers()) {
      String prefix = "layers." + layer.id() + ".";
      MemorySegment rowIds = heap(8L * tokens * config.columns());
      layer.hash(batch, rowIds);
      hashIds(prefix, rowIds);
      rows(prefix, layer, rowIds);
      keyAndValue(prefix, layer, rowIds);
      stream(prefix, layer);
    }
    state();
    if (results.stream().noneMatch(result -> result.tensor().startsWith("layers."))) {
      throw new IOException(
          file + " has nothing of the layers " + config.layerIds() + " to compare");
    }
    if (config.convKernel() > 0) {
      List<TensorResult> rounded = Bf16Verifier.verify(model, file);
      rounded.forEach(result -> known.add(result.tensor()));
      results.addAll(rounded);
    }
    for (TensorInfo tensor : truth.values()) {
      if (known.contains(tensor.name())) {
        continue;
      }
      // a layer that this model lacks, or a misspelt one, must not pass unseen
      if (LAYER_TENSOR.matcher(tensor.name()).matches()) {
        throw new IOException(
            file
                + " has tensor "
                + tensor.name()
                + ", but the model has Engram in the layers "
                + config.layerIds());
      }
      results.add(new TensorResult(tensor.name(), 0, "ignored", 0, 0));
    }
    return results;
  }

  private void hashIds(String prefix, MemorySegment rowIds) throws IOException {
    TensorInfo expected = take(prefix + "hash_ids", tokens, config.columns());
    if (expected != null) {
      long[] actual = new long[tokens * config.columns()];
      MemorySegment.copy(rowIds, JAVA_LONG_UNALIGNED, 0, actual, 0, actual.length);
      results.add(Compare.exact(expected.name(), actual, TensorData.longs(expected)));
    }
  }

  private void rows(String prefix, EngramLayer layer, MemorySegment rowIds) throws IOException {
    TensorInfo expected = take(prefix + "rows", tokens, config.rowWidth());
    if (expected != null) {
      Dtype type = TensorData.dtype(expected) == Dtype.BF16 ? Dtype.BF16 : Dtype.F32;
      float[] truthRows = TensorData.floats(expected);
      MemorySegment rows = heap((long) truthRows.length * type.bytes());
      layer.gather(rowIds, (long) tokens * config.columns(), rows, type);
      results.add(Compare.exact(expected.name(), floats(rows, type), truthRows));
    }
  }

  private void keyAndValue(String prefix, EngramLayer layer, MemorySegment rowIds)
      throws IOException {
    int keys = config.streamWidth();
    TensorInfo both = take(prefix + "kv", tokens, config.kvWidth());
    TensorInfo key = take(prefix + "key", tokens, keys);
    TensorInfo value = take(prefix + "value", tokens, config.hiddenSize());
    if (both == null && key == null && value == null) {
      return;
    }
    MemorySegment rows = heap(4L * tokens * config.rowWidth());
    layer.gather(rowIds, (long) tokens * config.columns(), rows, Dtype.F32);
    MemorySegment kv = heap(4L * tokens * config.kvWidth());
    layer.project(rows, tokens, kv);
    float[] all = floats(kv, Dtype.F32);
    if (both != null) {
      compare(both, all);
    }
    if (key != null) {
      compare(key, columns(all, 0, keys));
    }
    if (value != null) {
      compare(value, columns(all, keys, config.hiddenSize()));
    }
  }

  private float[] columns(float[] all, int first, int count) {
    float[] some = new float[tokens * count];
    for (int token = 0; token < tokens; token++) {
      System.arraycopy(all, token * config.kvWidth() + first, some, token * count, count);
    }
    return some;
  }

  /** How the sequence is left, which needs every layer applied. */
  private void state() throws IOException {
    TensorInfo history = take("history_out", config.maxNgram() - 1);
    List<TensorInfo> states = new ArrayList<>();
    for (EngramLayer layer : model.layers()) {
      TensorInfo state = take("layers." + layer.id() + ".conv_state_out");
      if (state != null) {
        states.add(state);
      }
    }
    if (history == null && states.isEmpty()) {
      return;
    }
    SequenceSnapshot snapshot;
    try {
      snapshot = sequence.snapshot();
    } catch (IllegalStateException e) {
      throw new IOException(file + " lacks what its conv_state_out needs: " + e.getMessage(), e);
    }
    if (history != null) {
      long[] last = Arrays.stream(snapshot.lastIds()).asLongStream().toArray();
      long[] wanted = TensorData.longs(history);
      for (int i = 0; i < wanted.length; i++) {
        wanted[i] = model.map().get(toTokenId(wanted[i]));
      }
      results.add(Compare.exact(history.name(), last, wanted));
    }
    for (int i = 0; i < states.size(); i++) {
      compare(states.get(i), snapshot.convWindows().get(i));
    }
  }

  private void stream(String prefix, EngramLayer layer) throws IOException {
    int branches = config.branches();
    int size = config.hiddenSize();
    TensorInfo gate = take(prefix + "gate", tokens, branches);
    TensorInfo out = take(prefix + "out", tokens, branches, size);
    TensorInfo rounded = take(prefix + "out_bf16", tokens, branches, size);
    TensorInfo delta = take(prefix + "delta", tokens, branches, size);
    TensorInfo hidden = take(prefix + "hidden", tokens, branches, size);
    if (gate == null && out == null && rounded == null && delta == null) {
      return;
    }
    if (hidden == null) {
      throw new IOException(file + " has no tensor " + prefix + "hidden, which the gate needs");
    }
    float[] before = TensorData.floats(hidden);
    float[] wide = before.clone();
    float[] gates = new float[tokens * branches];
    float[] added = new float[before.length];
    layer.apply(
        batch,
        HiddenStream.of(wide, branches, size),
        (stage, first, count, data, nanos) -> {
          if (stage == Stage.GATE) {
            copy(data, gates, first * branches, count * branches);
          } else if (stage == Stage.CONV) {
            copy(data, added, first * branches * size, count * branches * size);
          }
        });
    if (config.convKernel() == 0) {
      for (int i = 0; i < added.length; i++) {
        added[i] = wide[i] - before[i];
      }
    }
    if (gate != null) {
      results.add(Compare.absolute(gate.name(), gates, TensorData.doubles(gate)));
    }
    if (out != null) {
      compare(out, wide);
    }
    if (delta != null) {
      compare(delta, added);
    }
    if (rounded != null) {
      float[] actual = wide;
      if (isBf16(before)) {
        MemorySegment narrow = narrow(before);
        layer.apply(batch, HiddenStream.of(narrow, Dtype.BF16, branches, size));
        actual = floats(narrow, Dtype.BF16);
      }
      results.add(Compare.ulps(rounded.name(), actual, TensorData.floats(rounded), before));
    }
  }

  /** Truth in bf16 can only be met to a step of bf16. */
  private void compare(TensorInfo expected, float[] actual) throws IOException {
    results.add(
        TensorData.dtype(expected) == Dtype.BF16
            ? Compare.ulps(expected.name(), actual, TensorData.floats(expected))
            : Compare.norm(expected.name(), actual, TensorData.doubles(expected)));
  }

  private @Nullable TensorInfo take(String name, long... shape) throws IOException {
    TensorInfo tensor = truth.get(name);
    known.add(name);
    if (tensor != null && shape.length > 0) {
      List<Long> expected = Arrays.stream(shape).boxed().toList();
      if (!tensor.shape().equals(expected)) {
        throw new IOException(
            file
                + ": tensor "
                + name
                + " has shape "
                + tensor.shape()
                + ", but the model gives "
                + expected);
      }
    }
    return tensor;
  }

  private static MemorySegment heap(long bytes) {
    return MemorySegment.ofArray(new byte[Math.toIntExact(bytes)]);
  }

  private static void copy(MemorySegment from, float[] to, int at, int count) {
    MemorySegment.copy(from, JAVA_FLOAT_UNALIGNED, 0, to, at, count);
  }

  private static float[] floats(MemorySegment data, Dtype type) {
    float[] values = new float[(int) (data.byteSize() / type.bytes())];
    for (int i = 0; i < values.length; i++) {
      values[i] =
          type == Dtype.F32
              ? data.getAtIndex(JAVA_FLOAT_UNALIGNED, i)
              : Bfloat16.toFloat(data.getAtIndex(JAVA_SHORT_UNALIGNED, i));
    }
    return values;
  }

  /** Whether a bf16 stream can hold these values; else out_bf16 is the rounding of out. */
  private static boolean isBf16(float[] values) {
    for (float value : values) {
      if (Bfloat16.round(value) != value) {
        return false;
      }
    }
    return true;
  }

  private static MemorySegment narrow(float[] values) {
    MemorySegment data = heap(2L * values.length);
    for (int i = 0; i < values.length; i++) {
      data.setAtIndex(JAVA_SHORT_UNALIGNED, i, Bfloat16.fromFloat(values[i]));
    }
    return data;
  }
}
