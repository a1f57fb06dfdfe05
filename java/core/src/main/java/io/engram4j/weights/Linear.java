package io.engram4j.weights;

import io.engram4j.table.RowType;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * The weight of one linear map, [outputs, inputs] row-major, in a {@link RowType} that weights may
 * have; where the type has scales beside, one per 32x32 tile. With or without a bias. Immutable and
 * thread-safe; whoever made the segments owns them.
 */
public final class Linear {
  /** Edge of the square tile of fp8 weights that shares a scale. */
  public static final int TILE = 32;

  private final int outputs;
  private final int inputs;
  private final RowType type;
  private final Supplier<MemorySegment> weight;
  private final @Nullable MemorySegment scale;
  private final long weightStride;
  private final long scaleStride;
  private final float @Nullable [] bias;
  private final String name;

  /**
   * Describes a weight.
   *
   * @param name what messages call it
   * @param type one that weights may have
   * @param scale if the type has scales beside: [ceil(outputs / 32), ceil(inputs / 32)], else null
   * @param bias [outputs], or null for none; copied
   * @throws IllegalArgumentException for another type, or if a size is not that of the shape
   */
  public Linear(
      String name,
      int outputs,
      int inputs,
      RowType type,
      MemorySegment weight,
      @Nullable MemorySegment scale,
      float @Nullable [] bias) {
    this(name, outputs, inputs, type, () -> weight, weight.byteSize(), scale, bias);
  }

  private Linear(
      String name,
      int outputs,
      int inputs,
      RowType type,
      Supplier<MemorySegment> weight,
      long bytes,
      @Nullable MemorySegment scale,
      float @Nullable [] bias) {
    if (!type.isWeight()) {
      throw new IllegalArgumentException(
          name + " has type " + type + ", which projections do not have");
    }
    expect(name, bytes, outputs * type.elementBytes(inputs));
    if (type.hasScalesBeside() != (scale != null)) {
      throw new IllegalArgumentException(
          name + " of type " + type + (scale == null ? " has no scale" : " has a scale"));
    }
    if (scale != null) {
      expect(name + " scale", scale.byteSize(), (long) tiles(outputs) * tiles(inputs));
    }
    if (bias != null && bias.length != outputs) {
      throw new IllegalArgumentException(
          name + " has " + bias.length + " biases for " + outputs + " outputs");
    }
    this.name = name;
    this.outputs = outputs;
    this.inputs = inputs;
    this.type = type;
    this.weight = weight;
    this.scale = scale;
    this.weightStride = type.elementBytes(inputs);
    this.scaleStride = tiles(inputs);
    this.bias = bias == null ? null : bias.clone();
  }

  /**
   * Describes a weight that is read when it is first wanted, by {@link #weight}.
   *
   * @param load reads it, once; what it throws leaves {@code weight()}, and the next call tries
   *     again
   * @param bytes how many bytes it will have
   */
  public static Linear loaded(
      String name,
      int outputs,
      int inputs,
      RowType type,
      Supplier<MemorySegment> load,
      long bytes,
      @Nullable MemorySegment scale,
      float @Nullable [] bias) {
    return new Linear(name, outputs, inputs, type, new Once(load), bytes, scale, bias);
  }

  /** Asks once. */
  private static final class Once implements Supplier<MemorySegment> {
    private final Supplier<MemorySegment> load;
    private volatile @Nullable MemorySegment loaded;

    Once(Supplier<MemorySegment> load) {
      this.load = load;
    }

    @Override
    public MemorySegment get() {
      MemorySegment known = loaded;
      return known != null ? known : first();
    }

    private synchronized MemorySegment first() {
      MemorySegment known = loaded;
      if (known == null) {
        known = load.get();
        loaded = known;
      }
      return known;
    }
  }

  /** Some of the outputs and inputs of a whole. */
  private Linear(Linear whole, int firstOutput, int outputs, int firstInput, int inputs) {
    this.name = whole.name;
    this.outputs = outputs;
    this.inputs = inputs;
    this.type = whole.type;
    this.weightStride = whole.weightStride;
    this.scaleStride = whole.scaleStride;
    float[] all = whole.bias;
    this.bias =
        firstInput == 0 && all != null
            ? Arrays.copyOfRange(all, firstOutput, firstOutput + outputs)
            : null;
    long first = firstOutput * weightStride + type.elementBytes(firstInput);
    long bytes = (outputs - 1) * weightStride + type.elementBytes(inputs);
    this.weight = new Once(() -> whole.weight.get().asSlice(first, bytes));
    MemorySegment scales = whole.scale;
    this.scale =
        scales == null
            ? null
            : scales.asSlice(
                firstOutput / TILE * scaleStride + firstInput / TILE,
                (tiles(outputs) - 1) * scaleStride + tiles(inputs));
  }

  /**
   * Returns what some of the inputs contribute, on the same memory: the outputs of maps whose
   * inputs cover all of this one's add up to its own. The bias belongs to input 0.
   *
   * @param first a multiple of the type's block, which for types with scales beside is {@value
   *     #TILE}
   * @throws IllegalArgumentException if it is not, or there are no such inputs
   */
  public Linear ofInputs(int first, int count) {
    requirePart("inputs", first, count, inputs, type.blockElements());
    return new Linear(this, 0, outputs, first, count);
  }

  /**
   * Returns some of the outputs, on the same memory.
   *
   * @param first for types with scales beside a multiple of {@value #TILE}
   * @throws IllegalArgumentException if it is not, or there are no such outputs
   */
  public Linear ofOutputs(int first, int count) {
    requirePart("outputs", first, count, outputs, type.hasScalesBeside() ? TILE : 1);
    return new Linear(this, first, count, 0, inputs);
  }

  private static void requirePart(String what, int first, int count, int all, int unit) {
    if (first % unit != 0 || first < 0 || count < 1 || count > all - first) {
      throw new IllegalArgumentException(
          what + " " + first + " to " + (first + count) + " of " + all + ", in blocks of " + unit);
    }
  }

  private static void expect(String what, long actual, long expected) {
    if (actual != expected) {
      throw new IllegalArgumentException(
          what + " holds " + actual + " bytes, but its shape takes " + expected);
    }
  }

  /** Returns the number of tiles that cover {@code size} outputs or inputs. */
  public static int tiles(int size) {
    return (size + TILE - 1) / TILE;
  }

  /** Returns what messages call it. */
  public String name() {
    return name;
  }

  /** Returns the number of outputs. */
  public int outputs() {
    return outputs;
  }

  /** Returns the number of inputs. */
  public int inputs() {
    return inputs;
  }

  /** Returns how the weights are stored. */
  public RowType type() {
    return type;
  }

  /**
   * Returns the weights.
   *
   * @throws java.io.UncheckedIOException if they are read only now, and cannot be
   */
  public MemorySegment weight() {
    return weight.get();
  }

  /** Returns the tile scales of an fp8 weight, null for other types. */
  public @Nullable MemorySegment scale() {
    return scale;
  }

  /** Returns the bytes from one output's weights to those of the next. */
  public long weightStride() {
    return weightStride;
  }

  /** Returns the bytes from one row of tiles' scales to the next. */
  public long scaleStride() {
    return scaleStride;
  }

  /** Returns the bias of an output, 0 where there is none. */
  public float bias(int output) {
    return bias == null ? 0 : bias[output];
  }
}
