package io.engram4j.train.files;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.model.Dtype;
import io.engram4j.model.EngramConfig;
import io.engram4j.train.model.EngramForm;
import io.engram4j.train.model.EngramMemory;
import io.engram4j.train.model.EngramWeights;
import io.engram4j.train.model.Parameters;
import io.engram4j.train.table.TrainableTable;
import io.engram4j.weights.ConvWeights;
import io.engram4j.weights.GateWeights;
import io.engram4j.weights.Linear;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.function.LongConsumer;

/**
 * Takes the Engram layers of a model of any form and row type into a decoder, to go on training.
 */
public final class EngramImport {
  private static final int ROWS_AT_ONCE = 4096;

  private EngramImport() {}

  /**
   * Returns the Engram layers of a model.
   *
   * @throws IllegalArgumentException if they are of a form that is not trained, such as Qwen's
   */
  public static EngramMemory memory(EngramModel model) {
    EngramConfig config = model.config();
    for (EngramForm form : EngramForm.values()) {
      if (form.family().equals(config.family())) {
        return EngramMemory.of(form, config, model.map());
      }
    }
    throw new IllegalArgumentException("layers of " + config.family() + " are not trained");
  }

  /**
   * Copies rows and weights.
   *
   * @param into layers whose memory is like that of {@link #memory}
   * @param done told of rows that were read
   * @throws IllegalArgumentException if the model's layers are not those of the decoder
   */
  public static void read(EngramModel model, EngramWeights into, LongConsumer done) {
    EngramConfig config = into.memory().config();
    if (!model.config().layerIds().equals(config.layerIds())
        || model.config().rowWidth() != config.rowWidth()
        || model.config().kvWidth() != config.kvWidth()) {
      throw new IllegalArgumentException(
          "the model has Engram layers "
              + model.config().layerIds()
              + " of "
              + model.config().kvWidth()
              + " x "
              + model.config().rowWidth()
              + ", the decoder "
              + config.layerIds()
              + " of "
              + config.kvWidth()
              + " x "
              + config.rowWidth());
    }
    for (int i = 0; i < model.layers().size(); i++) {
      EngramLayer layer = model.layers().get(i);
      if (!layer.layout().sameNumbers(into.memory().layouts().get(i))) {
        throw new IllegalArgumentException(
            "layer "
                + layer.id()
                + " hashes by "
                + layer.layout()
                + ", the decoder by "
                + into.memory().layouts().get(i));
      }
      rows(layer, config.headDim(), into.tables().get(i), done);
      weights(layer, config, into.parameters());
    }
  }

  private static void rows(EngramLayer layer, int dim, TrainableTable table, LongConsumer done) {
    float[] values = new float[ROWS_AT_ONCE * dim];
    long[] ids = new long[ROWS_AT_ONCE];
    for (long first = 0; first < layer.layout().rows(); first += ROWS_AT_ONCE) {
      int count = (int) Math.min(ROWS_AT_ONCE, layer.layout().rows() - first);
      for (int i = 0; i < count; i++) {
        ids[i] = first + i;
      }
      layer.gather(MemorySegment.ofArray(ids), count, MemorySegment.ofArray(values), Dtype.F32);
      for (int i = 0; i < count; i++) {
        if (Fp8.most(values, i * dim, dim) > 0) { // zeros need no page
          table.set(first + i, values, i * dim);
        }
      }
      done.accept(count);
    }
  }

  private static void weights(EngramLayer layer, EngramConfig config, Parameters parameters) {
    String to = "layers." + layer.id() + ".engram.";
    float[] values = parameters.values();
    Parameters.Tensor wkv = parameters.tensor(to + "wkv");
    int output = 0;
    for (Linear part : layer.weights().projection().parts()) {
      for (int i = 0; i < part.outputs(); i++) {
        if (part.type().dtype() == Dtype.F32) {
          MemorySegment.copy(
              part.weight(),
              JAVA_FLOAT_UNALIGNED,
              i * part.weightStride(),
              values,
              wkv.at() + (output + i) * wkv.columns(),
              part.inputs());
        }
        if (part.bias(i) != 0) {
          values[parameters.tensor(to + "bias").at() + output + i] = part.bias(i);
        }
      }
      output += part.outputs();
    }
    if (layer.weights().projection().parts().getFirst().type().dtype() != Dtype.F32) {
      ones(layer, wkv, values);
    }
    GateWeights gate = layer.weights().gate();
    for (int i = 0; i < config.streamWidth(); i++) {
      int branch = i / config.hiddenSize();
      int element = i % config.hiddenSize();
      values[parameters.tensor(to + "query").at() + i] = gate.query(branch, element);
      values[parameters.tensor(to + "key").at() + i] = gate.key(branch, element);
    }
    ConvWeights conv = layer.weights().conv();
    if (conv != null) {
      for (int i = 0; i < conv.channels(); i++) {
        for (int tap = 0; tap < conv.kernel(); tap++) {
          values[parameters.tensor(to + "taps").at() + i * conv.kernel() + tap] = conv.tap(i, tap);
        }
        values[parameters.tensor(to + "conv_norm").at() + i] = conv.norm(i);
      }
    }
  }

  /** Weights of any type, decoded by projecting rows with a single one. */
  private static void ones(EngramLayer layer, Parameters.Tensor wkv, float[] values) {
    int inputs = wkv.columns();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment row = arena.allocate(4L * inputs, 64);
      MemorySegment kv = arena.allocate(4L * wkv.rows(), 64);
      for (int i = 0; i < inputs; i++) {
        row.fill((byte) 0).setAtIndex(JAVA_FLOAT_UNALIGNED, i, 1);
        layer.project(row, 1, kv);
        for (int output = 0; output < wkv.rows(); output++) {
          values[wkv.at() + output * inputs + i] = kv.getAtIndex(JAVA_FLOAT_UNALIGNED, output);
        }
      }
    }
  }
}
