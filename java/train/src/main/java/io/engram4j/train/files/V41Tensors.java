package io.engram4j.train.files;

import io.engram4j.format.Bfloat16;
import io.engram4j.hf.SafetensorsWriter;
import io.engram4j.hf.SafetensorsWriter.Declaration;
import io.engram4j.model.Dtype;
import io.engram4j.model.EngramConfig;
import io.engram4j.train.files.EngramExport.Tensor;
import io.engram4j.train.model.EngramWeights;
import io.engram4j.train.model.Parameters;
import io.engram4j.train.table.TrainableTable;
import io.engram4j.weights.Linear;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;

/** A layer's tensors in DeepSeek-V4.1's layout (docs/spec.md, section 1). */
final class V41Tensors {
  private static final int BLOCK = 32;
  private static final int ROWS_AT_ONCE = 4096;

  private V41Tensors() {}

  static List<Tensor> of(EngramWeights trained, int index, long rows) {
    EngramConfig config = trained.memory().config();
    TrainableTable table = trained.tables().get(index);
    int layer = config.layerIds().get(index);
    int dim = config.headDim();
    if (dim % BLOCK != 0) {
      throw new IllegalArgumentException(
          "rows of " + dim + " elements do not divide into blocks of " + BLOCK);
    }
    String to = "layers." + layer + ".engram.";
    Parameters parameters = trained.parameters();
    Parameters.Tensor wkv = parameters.tensor(to + "wkv");
    Declaration codes = Declaration.of(to + "embed.weight", Dtype.F8_E4M3, rows, dim);
    Declaration scales = Declaration.of(to + "embed.scale", Dtype.F8_E8M0, rows, dim / BLOCK);
    Declaration weight =
        Declaration.of(to + "wkv.weight", Dtype.F8_E4M3, wkv.rows(), wkv.columns());
    Declaration tiles =
        Declaration.of(
            to + "wkv.scale", Dtype.F8_E8M0, Linear.tiles(wkv.rows()), Linear.tiles(wkv.columns()));
    byte[] tileScales = tileScales(parameters.values(), wkv);
    return List.of(
        new Tensor(codes, writer -> rows(writer, table, rows, false)),
        new Tensor(scales, writer -> rows(writer, table, rows, true)),
        new Tensor(weight, writer -> writer.write(weight(parameters.values(), wkv, tileScales))),
        new Tensor(tiles, writer -> writer.write(ByteBuffer.wrap(tileScales))),
        gate(parameters, config, to + "query", to + "q_weight"),
        gate(parameters, config, to + "key", to + "k_weight"));
  }

  private static Tensor gate(Parameters parameters, EngramConfig config, String from, String to) {
    Parameters.Tensor tensor = parameters.tensor(from);
    return new Tensor(
        Declaration.of(to, Dtype.BF16, config.branches(), config.hiddenSize()),
        writer -> {
          ByteBuffer bytes = ByteBuffer.allocate(2 * tensor.size()).order(ByteOrder.LITTLE_ENDIAN);
          for (int i = 0; i < tensor.size(); i++) {
            bytes.putShort(Bfloat16.fromFloat(parameters.values()[tensor.at() + i]));
          }
          writer.write(bytes.flip());
        });
  }

  private static void rows(
      SafetensorsWriter writer, TrainableTable table, long rows, boolean scales)
      throws IOException {
    int dim = table.shape().width();
    float[] row = new float[dim];
    ByteBuffer bytes = ByteBuffer.allocate(ROWS_AT_ONCE * dim);
    for (long id = 0; id < rows; id++) {
      table.read(id, row, 0);
      for (int block = 0; block < dim; block += BLOCK) {
        byte scale = Fp8.scale(Fp8.most(row, block, BLOCK));
        if (scales) {
          bytes.put(scale);
          continue;
        }
        for (int i = block; i < block + BLOCK; i++) {
          bytes.put(Fp8.code(row[i], scale));
        }
      }
      if (bytes.remaining() < dim || id == rows - 1) {
        writer.write(bytes.flip());
        bytes.clear();
      }
    }
  }

  private static byte[] tileScales(float[] values, Parameters.Tensor wkv) {
    int across = Linear.tiles(wkv.columns());
    byte[] scales = new byte[Linear.tiles(wkv.rows()) * across];
    for (int tile = 0; tile < scales.length; tile++) {
      int firstRow = tile / across * Linear.TILE;
      int firstColumn = tile % across * Linear.TILE;
      int width = Math.min(Linear.TILE, wkv.columns() - firstColumn);
      float most = 0;
      for (int row = firstRow; row < Math.min(firstRow + Linear.TILE, wkv.rows()); row++) {
        int at = wkv.at() + row * wkv.columns() + firstColumn;
        most = Math.max(most, Fp8.most(values, at, width));
      }
      scales[tile] = Fp8.scale(most);
    }
    return scales;
  }

  private static ByteBuffer weight(float[] values, Parameters.Tensor wkv, byte[] scales) {
    int across = Linear.tiles(wkv.columns());
    ByteBuffer bytes = ByteBuffer.allocate(wkv.size());
    for (int row = 0; row < wkv.rows(); row++) {
      for (int column = 0; column < wkv.columns(); column++) {
        byte scale = scales[row / Linear.TILE * across + column / Linear.TILE];
        bytes.put(Fp8.code(values[wkv.at() + row * wkv.columns() + column], scale));
      }
    }
    return bytes.flip();
  }
}
