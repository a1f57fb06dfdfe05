package io.engram4j.train.files;

import io.engram4j.hf.SafetensorsWriter;
import io.engram4j.hf.SafetensorsWriter.Declaration;
import io.engram4j.model.Dtype;
import io.engram4j.model.EngramConfig;
import io.engram4j.train.files.EngramExport.Tensor;
import io.engram4j.train.model.EngramWeights;
import io.engram4j.train.model.Parameters;
import io.engram4j.train.table.TrainableTable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;

/** A layer's tensors in the layout of the paper's demo (docs/spec.md, section 1), float32. */
final class PaperTensors {
  private static final int ROWS_AT_ONCE = 1024;

  private PaperTensors() {}

  static List<Tensor> of(EngramWeights trained, int index, long rows) {
    EngramConfig config = trained.memory().config();
    TrainableTable table = trained.tables().get(index);
    Parameters parameters = trained.parameters();
    String from = "layers." + config.layerIds().get(index) + ".engram.";
    Parameters.Tensor wkv = parameters.tensor(from + "wkv");
    Parameters.Tensor bias = parameters.tensor(from + "bias");
    int size = config.hiddenSize();
    List<Tensor> tensors = new ArrayList<>();
    tensors.add(
        new Tensor(
            Declaration.of(
                from + "multi_head_embedding.embedding.weight", Dtype.F32, rows, config.headDim()),
            writer -> rows(writer, table, rows)));
    for (int branch = 0; branch <= config.branches(); branch++) {
      String part = branch < config.branches() ? "key_projs." + branch : "value_proj";
      int first = branch * size;
      tensors.add(
          floats(
              parameters,
              wkv.at() + first * wkv.columns(),
              from + part + ".weight",
              size,
              wkv.columns()));
      tensors.add(floats(parameters, bias.at() + first, from + part + ".bias", size));
    }
    String[][] perBranch = {
      {"key", "norm1."}, {"query", "norm2."}, {"conv_norm", "short_conv.norms."}
    };
    for (String[] names : perBranch) {
      int at = parameters.tensor(from + names[0]).at();
      for (int branch = 0; branch < config.branches(); branch++) {
        String to = from + names[1] + branch + ".weight";
        tensors.add(floats(parameters, at + branch * size, to, size));
      }
    }
    tensors.add(
        floats(
            parameters,
            parameters.tensor(from + "taps").at(),
            from + "short_conv.conv.weight",
            config.streamWidth(),
            1,
            config.convKernel()));
    return tensors;
  }

  static Tensor floats(Parameters parameters, int at, String to, long... shape) {
    Declaration declaration = Declaration.of(to, Dtype.F32, shape);
    return new Tensor(
        declaration,
        writer -> {
          int count = (int) (declaration.bytes() / 4);
          ByteBuffer bytes = ByteBuffer.allocate(4 * count).order(ByteOrder.LITTLE_ENDIAN);
          bytes.asFloatBuffer().put(parameters.values(), at, count);
          writer.write(bytes);
        });
  }

  private static void rows(SafetensorsWriter writer, TrainableTable table, long rows)
      throws IOException {
    int dim = table.shape().width();
    float[] some = new float[ROWS_AT_ONCE * dim];
    ByteBuffer bytes = ByteBuffer.allocate(4 * some.length).order(ByteOrder.LITTLE_ENDIAN);
    for (long first = 0; first < rows; first += ROWS_AT_ONCE) {
      int count = (int) Math.min(ROWS_AT_ONCE, rows - first);
      for (int i = 0; i < count; i++) {
        table.read(first + i, some, i * dim);
      }
      bytes.clear().limit(4 * count * dim);
      bytes.asFloatBuffer().put(some, 0, count * dim);
      writer.write(bytes);
    }
  }
}
