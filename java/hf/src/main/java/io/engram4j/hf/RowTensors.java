package io.engram4j.hf;

import io.engram4j.format.Bfloat16;
import io.engram4j.model.EngramConfig;
import io.engram4j.table.RowType;
import io.engram4j.table.io.TableFile;
import io.engram4j.table.io.TableFile.Part;
import io.engram4j.table.io.TableFile.Region;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The tensors with a layer's rows: one table, or shards of it. In which form rows are is told by
 * the tensors that are there, not by the configuration: as their family has them, or as others have
 * converted them, to 4-bit floats (ModelOpt) or to 4 bits with a scale and a bias (MLX).
 */
final class RowTensors {
  private final FoundTensors found;
  private final int published;
  private int headDim; // -1 until a tensor tells, if nobody else does
  private final List<Shard> shards = new ArrayList<>();

  /** One tensor of rows with what belongs to it. */
  private record Shard(
      RowType type,
      float factor,
      TensorInfo weight,
      @Nullable TensorInfo scale,
      @Nullable TensorInfo bias) {
    long rows() {
      return weight.shape().getFirst();
    }
  }

  RowTensors(FoundTensors found, EngramConfig config) {
    this.found = found;
    this.published = config.headDim();
    this.headDim = config.headDim();
  }

  /**
   * Rows of a width that the tensors tell.
   *
   * @param published the family's width: words of an affine table do not tell how many bits a code
   *     has
   */
  RowTensors(FoundTensors found, int published) {
    this.found = found;
    this.published = published;
    this.headDim = -1;
  }

  /** Codes of four bits lie two in a byte. */
  private int width(TensorInfo tensor) {
    if (tensor.dtype().equals("U32")) {
      return published;
    }
    long last = tensor.shape().getLast();
    return (int) Math.min(tensor.dtype().equals("U8") ? 2 * last : last, Integer.MAX_VALUE);
  }

  /**
   * Looks for a tensor of rows.
   *
   * @param names as the family has them
   * @param factor a tensor with one scale for all rows, if the family has one, else null
   * @param rows how many there are, or -1 if the tensor tells
   */
  void find(ScaledName names, @Nullable String factor, long rows) {
    TensorInfo peeked = found.peek(names.weight());
    if (peeked == null || peeked.shape().size() != 2) {
      found.find(WantedTensor.rows(names, Math.max(rows, 0), headDim)); // which says what is wrong
      return;
    }
    headDim = headDim < 0 ? width(peeked) : headDim;
    long count = rows < 0 ? peeked.shape().getFirst() : rows;
    String base = names.weight().substring(0, names.weight().length() - ".weight".length());
    if (peeked.dtype().equals("U8") && found.has(base + ".weight_scale_2")) {
      addE2m1(names.weight(), base, count);
    } else if (peeked.dtype().equals("U32")) {
      addAffine(names.weight(), base, factor, count);
    } else if (peeked.dtype().equals("F8_E4M3") && factor != null) {
      TensorInfo weight = found.find(names.weight(), "F8_E4M3", List.of(count, (long) headDim));
      if (weight != null) {
        add(RowType.F8_E4M3_TENSOR, factor(factor), weight, null, null);
      }
    } else {
      addOwn(names, count);
    }
  }

  private void addOwn(ScaledName names, long rows) {
    WantedTensor wanted = WantedTensor.rows(names, rows, headDim);
    int before = found.problems().size();
    found.find(wanted);
    if (found.problems().size() == before) {
      TensorInfo weight = found.get(wanted.name());
      RowType type = FoundTensors.rowType(weight);
      WantedTensor.Scale scale = type.hasScalesBeside() ? wanted.scale() : null;
      add(type, 1, weight, scale == null ? null : found.get(scale.name()), null);
    }
  }

  private void addE2m1(String name, String base, long rows) {
    TensorInfo weight = found.find(name, "U8", List.of(rows, (headDim + 1L) / 2));
    TensorInfo scale =
        found.find(base + ".weight_scale", "F8_E4M3", List.of(rows, (headDim + 15L) / 16));
    if (weight != null && scale != null) {
      add(RowType.F4_E2M1, factor(base + ".weight_scale_2"), weight, scale, null);
    }
  }

  /** Groups of 64 or 32: the scales' shape tells. */
  private void addAffine(String name, String base, @Nullable String factor, long rows) {
    if (headDim % 32 != 0) {
      found.problem(name + " has rows of " + headDim + ", which are no groups of 32");
      return;
    }
    TensorInfo weight = found.find(name, "U32", List.of(rows, headDim / 8L));
    TensorInfo peeked = found.peek(base + ".scales");
    boolean by64 = peeked != null && peeked.shape().equals(List.of(rows, (long) headDim / 64));
    RowType type = by64 && headDim % 64 == 0 ? RowType.AFFINE4_64 : RowType.AFFINE4_32;
    List<Long> shape = List.of(rows, (long) type.blocks(headDim));
    TensorInfo scale = found.find(base + ".scales", "BF16", shape);
    TensorInfo bias = found.find(base + ".biases", "BF16", shape);
    if (weight != null && scale != null && bias != null) {
      String whole = factor != null && found.has(factor) ? factor : null;
      add(type, whole == null ? 1 : factor(whole), weight, scale, bias);
    }
  }

  private void add(
      RowType type,
      float factor,
      TensorInfo weight,
      @Nullable TensorInfo scale,
      @Nullable TensorInfo bias) {
    if (!shards.isEmpty()) {
      Shard first = shards.getFirst();
      if (first.type != type || first.factor != factor) {
        found.problem(
            weight.name()
                + " has rows of "
                + type
                + (factor == 1 ? "" : " times " + factor)
                + ", but "
                + first.weight.name()
                + " has "
                + first.type
                + (first.factor == 1 ? "" : " times " + first.factor));
        return;
      }
    }
    shards.add(new Shard(type, factor, weight, scale, bias));
  }

  /** Reads a number that stands alone; what is narrower than a float is bf16. */
  private float factor(String name) {
    TensorInfo tensor = found.find(name);
    if (tensor == null) {
      return 1;
    }
    try {
      float[] values = TensorData.floats(tensor);
      if (values.length != 1) {
        found.problem(tensor.name() + " has " + values.length + " numbers, not 1");
        return 1;
      }
      boolean perTensor = name.endsWith(".weight_scale");
      // engines round the one scale of fp8 tables before they multiply
      return perTensor ? Bfloat16.round(values[0]) : values[0];
    } catch (IOException e) {
      found.problem(String.valueOf(e.getMessage()));
      return 1;
    }
  }

  /** Returns how many rows the tensors have that were found. */
  long rows() {
    return shards.stream().mapToLong(Shard::rows).sum();
  }

  /** Returns where the rows lie; all tensors must have been found. */
  TableFile table() {
    List<Part> parts = new ArrayList<>();
    long first = 0;
    for (Shard shard : shards) {
      if (shard.rows() > 0) { // the last of many may be empty
        parts.add(
            new Part(
                first,
                shard.rows(),
                region(shard.weight, Math.toIntExact(shard.type.elementBytes(headDim))),
                shard.scale == null ? null : region(shard.scale, shard.type.scaleBytes(headDim)),
                shard.bias == null ? null : region(shard.bias, shard.type.biasBytes(headDim))));
        first += shard.rows();
      }
    }
    Shard any = shards.getFirst();
    String name = any.weight.name();
    String all = parts.size() == 1 ? name : name + " and " + (parts.size() - 1) + " more";
    return new TableFile(all, any.type, first, headDim, any.factor, parts);
  }

  private static Region region(TensorInfo tensor, int bytes) {
    return new Region(tensor.file(), tensor.offset(), bytes, bytes);
  }
}
