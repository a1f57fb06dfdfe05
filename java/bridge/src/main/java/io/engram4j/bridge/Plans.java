package io.engram4j.bridge;

import io.engram4j.bindings.engram_conv_weights;
import io.engram4j.bindings.engram_gate_weights;
import io.engram4j.bindings.engram_layout;
import io.engram4j.bindings.engram_linear;
import io.engram4j.bindings.engram_shard;
import io.engram4j.bindings.engram_table;
import io.engram4j.model.Dtype;
import io.engram4j.model.LayerLayout;
import io.engram4j.table.RowType;
import io.engram4j.table.Shard;
import io.engram4j.table.Table;
import io.engram4j.weights.ConvWeights;
import io.engram4j.weights.GateWeights;
import io.engram4j.weights.Linear;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * Writes weights into the structs that the C functions read. A struct holds bare addresses, so
 * whoever keeps it must keep the weights as well.
 */
public final class Plans {
  private final Arena arena;
  private final UnaryOperator<MemorySegment> place;

  /**
   * Makes structs in an arena.
   *
   * @param place brings numbers to where the kernels read them, and returns that place
   */
  public Plans(Arena arena, UnaryOperator<MemorySegment> place) {
    this.arena = arena;
    this.place = place;
  }

  /**
   * For kernels of the CPU: what is off the heap stays where it is. A heap array has no address
   * that lasts, so it is copied.
   */
  public static Plans onHost(Arena arena) {
    return new Plans(
        arena,
        segment ->
            segment.isNative()
                ? segment
                : arena.allocate(segment.byteSize(), 64).copyFrom(segment));
  }

  /** Returns the struct of a layer's layout. */
  public MemorySegment layout(LayerLayout layout) {
    int columns = layout.columns();
    MemorySegment multipliers = arena.allocate(8L * layout.maxNgram(), 64);
    for (int shift = 0; shift < layout.maxNgram(); shift++) {
      multipliers.setAtIndex(ValueLayout.JAVA_LONG, shift, layout.multiplier(shift));
    }
    MemorySegment primes = arena.allocate(8L * columns, 64);
    MemorySegment offsets = arena.allocate(8L * columns, 64);
    MemorySegment inverses = arena.allocate(8L * columns, 64);
    for (int column = 0; column < columns; column++) {
      primes.setAtIndex(ValueLayout.JAVA_LONG, column, layout.prime(column));
      offsets.setAtIndex(ValueLayout.JAVA_LONG, column, layout.offset(column));
      inverses.setAtIndex(ValueLayout.JAVA_DOUBLE, column, 1.0 / layout.prime(column));
    }
    MemorySegment plan = engram_layout.allocate(arena);
    engram_layout.struct_size(plan, (int) engram_layout.sizeof());
    engram_layout.max_ngram(plan, layout.maxNgram());
    engram_layout.heads(plan, layout.headsPerNgram());
    engram_layout.multipliers(plan, place.apply(multipliers));
    engram_layout.primes(plan, place.apply(primes));
    engram_layout.offsets(plan, place.apply(offsets));
    engram_layout.inverses(plan, place.apply(inverses));
    return plan;
  }

  /** Returns the struct of a table in memory. */
  public MemorySegment table(Table table) {
    MemorySegment plan = engram_table.allocate(arena);
    engram_table.struct_size(plan, (int) engram_table.sizeof());
    engram_table.type(plan, table.type().code());
    engram_table.head_dim(plan, table.headDim());
    engram_table.rows(plan, table.rows());
    engram_table.factor(plan, table.factor());
    engram_table.weight_stride(plan, table.weightStride());
    engram_table.scale_stride(plan, table.scaleStride());
    engram_table.bias_stride(plan, table.biasStride());
    List<Shard> shards = table.shards();
    if (shards.size() == 1) {
      engram_table.weight(plan, place.apply(shards.getFirst().weight()));
      engram_table.scale(plan, placed(shards.getFirst().scale()));
      engram_table.bias(plan, placed(shards.getFirst().bias()));
      return plan;
    }
    MemorySegment parts = engram_shard.allocateArray(shards.size() + 1, arena);
    for (int i = 0; i < shards.size(); i++) {
      MemorySegment part = engram_shard.asSlice(parts, i);
      engram_shard.first(part, shards.get(i).first());
      engram_shard.weight(part, place.apply(shards.get(i).weight()));
      engram_shard.scale(part, placed(shards.get(i).scale()));
      engram_shard.bias(part, placed(shards.get(i).bias()));
    }
    engram_shard.first(engram_shard.asSlice(parts, shards.size()), table.rows());
    engram_table.shards(plan, shards.size());
    engram_table.shard(plan, place.apply(parts));
    return plan;
  }

  private MemorySegment placed(@Nullable MemorySegment part) {
    return part == null ? MemorySegment.NULL : place.apply(part);
  }

  /** Returns the struct of a linear map. */
  public MemorySegment linear(Linear linear) {
    MemorySegment plan = engram_linear.allocate(arena);
    engram_linear.struct_size(plan, (int) engram_linear.sizeof());
    engram_linear.type(plan, linear.type().code());
    engram_linear.outputs(plan, linear.outputs());
    engram_linear.inputs(plan, linear.inputs());
    engram_linear.weight(plan, place.apply(linear.weight()));
    MemorySegment scale = linear.scale();
    engram_linear.scale(plan, scale == null ? MemorySegment.NULL : place.apply(scale));
    MemorySegment bias = arena.allocate(4L * linear.outputs(), 64);
    for (int output = 0; output < linear.outputs(); output++) {
      bias.setAtIndex(ValueLayout.JAVA_FLOAT, output, linear.bias(output));
    }
    engram_linear.bias(plan, place.apply(bias));
    engram_linear.weight_stride(plan, linear.weightStride());
    engram_linear.scale_stride(plan, linear.scaleStride());
    return plan;
  }

  /** Returns the struct of a gate's weights. */
  public MemorySegment gate(GateWeights weights) {
    int size = weights.hiddenSize();
    MemorySegment product = arena.allocate(4L * weights.branches() * size, 64);
    for (int branch = 0; branch < weights.branches(); branch++) {
      for (int i = 0; i < size; i++) {
        product.setAtIndex(
            ValueLayout.JAVA_FLOAT, (long) branch * size + i, weights.product(branch, i));
      }
    }
    MemorySegment plan = engram_gate_weights.allocate(arena);
    engram_gate_weights.struct_size(plan, (int) engram_gate_weights.sizeof());
    engram_gate_weights.branches(plan, weights.branches());
    engram_gate_weights.hidden(plan, size);
    boolean half = weights.zeroRule() == GateWeights.ZeroRule.SIGNUM;
    engram_gate_weights.zero_is_half(plan, half ? 1 : 0);
    engram_gate_weights.product(plan, place.apply(product));
    engram_gate_weights.eps(plan, weights.eps());
    return plan;
  }

  /** Returns the struct of a convolution's weights. */
  public MemorySegment conv(ConvWeights weights) {
    int channels = weights.channels();
    MemorySegment taps = arena.allocate(4L * channels * weights.kernel(), 64);
    MemorySegment norm = arena.allocate(4L * channels, 64);
    for (int channel = 0; channel < channels; channel++) {
      norm.setAtIndex(ValueLayout.JAVA_FLOAT, channel, weights.norm(channel));
      for (int tap = 0; tap < weights.kernel(); tap++) {
        taps.setAtIndex(
            ValueLayout.JAVA_FLOAT,
            (long) channel * weights.kernel() + tap,
            weights.tap(channel, tap));
      }
    }
    MemorySegment plan = engram_conv_weights.allocate(arena);
    engram_conv_weights.struct_size(plan, (int) engram_conv_weights.sizeof());
    engram_conv_weights.branches(plan, weights.branches());
    engram_conv_weights.hidden(plan, weights.hiddenSize());
    engram_conv_weights.kernel(plan, weights.kernel());
    engram_conv_weights.dilation(plan, weights.dilation());
    engram_conv_weights.eps(plan, (float) weights.eps());
    engram_conv_weights.taps(plan, place.apply(taps));
    engram_conv_weights.norm(plan, place.apply(norm));
    return plan;
  }

  /** Returns the code of a dtype in which rows, key and value, or streams are read or written. */
  public static int type(Dtype dtype) {
    return RowType.of("a kernel's argument", dtype).code();
  }
}
