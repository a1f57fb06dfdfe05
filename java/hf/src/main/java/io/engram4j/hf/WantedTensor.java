package io.engram4j.hf;

import io.engram4j.model.Dtype;
import io.engram4j.table.RowType;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * A tensor that a layer must have.
 *
 * @param name without the layer's prefix
 * @param types one of which it has
 * @param shape its dimensions
 * @param scale the tensor of its scales, which must be there if its type has them beside
 */
record WantedTensor(String name, Set<Dtype> types, List<Long> shape, @Nullable Scale scale) {
  private static final Set<Dtype> FLOATS = EnumSet.of(Dtype.F32, Dtype.BF16, Dtype.F16);

  /** The scales of a tensor, e8m0. */
  record Scale(String name, List<Long> shape) {}

  /** A tensor of floats of any size. */
  static WantedTensor floats(String name, long... shape) {
    return new WantedTensor(name, FLOATS, dimensions(shape), null);
  }

  /** Whole numbers. */
  static WantedTensor integers(String name, long count) {
    return new WantedTensor(name, EnumSet.of(Dtype.I64, Dtype.I32), List.of(count), null);
  }

  /** The rows of a table, of any type, with scales beside if the family has them. */
  static WantedTensor rows(ScaledName names, long rows, int headDim) {
    String scale = names.scale();
    long blocks = (headDim + 31L) / 32;
    return new WantedTensor(
        names.weight(),
        types(scale, type -> true),
        dimensions(rows, headDim),
        scale == null ? null : new Scale(scale, dimensions(rows, blocks)));
  }

  /** The weight of a linear map, with scales per tile if the family has them. */
  static WantedTensor weight(ScaledName names, long outputs, long inputs) {
    String scale = names.scale();
    return new WantedTensor(
        names.weight(),
        types(scale, RowType::isWeight),
        dimensions(outputs, inputs),
        scale == null
            ? null
            : new Scale(scale, dimensions((outputs + 31) / 32, (inputs + 31) / 32)));
  }

  private static Set<Dtype> types(@Nullable String scale, Predicate<RowType> wanted) {
    return Arrays.stream(RowType.values())
        .filter(type -> wanted.test(type) && (scale != null || !type.hasScalesBeside()))
        .map(RowType::dtype)
        .filter(Objects::nonNull)
        .collect(Collectors.toCollection(() -> EnumSet.noneOf(Dtype.class)));
  }

  private static List<Long> dimensions(long... shape) {
    return Arrays.stream(shape).boxed().toList();
  }
}
