package io.engram4j.project;

import io.engram4j.format.Dtype;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * The weight of one linear map, [outputs, inputs] row-major: fp8 e4m3 with an e8m0 scale per 32x32
 * tile, bf16, or fp32; with or without a bias. Immutable and thread-safe; whoever made the segments
 * owns them.
 */
public final class Linear {
  /** Edge of the square tile of fp8 weights that shares a scale. */
  public static final int TILE = 32;

  private final int outputs;
  private final int inputs;
  private final Dtype dtype;
  private final MemorySegment weight;
  private final @Nullable MemorySegment scale;
  private final float @Nullable [] bias;

  /**
   * Describes a weight.
   *
   * @param name what messages call it
   * @param dtype F8_E4M3, BF16 or F32
   * @param scale for F8_E4M3: e8m0 [ceil(outputs / 32), ceil(inputs / 32)], else null
   * @param bias [outputs], or null for none; copied
   * @throws IllegalArgumentException for another type, or if a size is not that of the shape
   */
  public Linear(
      String name,
      int outputs,
      int inputs,
      Dtype dtype,
      MemorySegment weight,
      @Nullable MemorySegment scale,
      float @Nullable [] bias) {
    if (dtype != Dtype.F8_E4M3 && dtype != Dtype.BF16 && dtype != Dtype.F32) {
      throw new IllegalArgumentException(
          name + " has type " + dtype + ", but projection weights are F8_E4M3, BF16 or F32");
    }
    expect(name, weight.byteSize(), (long) outputs * inputs * dtype.bytes());
    if ((dtype == Dtype.F8_E4M3) != (scale != null)) {
      throw new IllegalArgumentException(
          name + " of type " + dtype + (scale == null ? " has no scale" : " has a scale"));
    }
    if (scale != null) {
      expect(name + " scale", scale.byteSize(), (long) tiles(outputs) * tiles(inputs));
    }
    if (bias != null && bias.length != outputs) {
      throw new IllegalArgumentException(
          name + " has " + bias.length + " biases for " + outputs + " outputs");
    }
    this.outputs = outputs;
    this.inputs = inputs;
    this.dtype = dtype;
    this.weight = weight;
    this.scale = scale;
    this.bias = bias == null ? null : bias.clone();
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

  /** Returns the number of outputs. */
  public int outputs() {
    return outputs;
  }

  /** Returns the number of inputs. */
  public int inputs() {
    return inputs;
  }

  /** Returns the type of the weights: F8_E4M3, BF16 or F32. */
  public Dtype dtype() {
    return dtype;
  }

  /** Returns the weights. */
  public MemorySegment weight() {
    return weight;
  }

  /** Returns the tile scales of an fp8 weight, null for other types. */
  public @Nullable MemorySegment scale() {
    return scale;
  }

  /** Returns the bias of an output, 0 where there is none. */
  public float bias(int output) {
    return bias == null ? 0 : bias[output];
  }
}
