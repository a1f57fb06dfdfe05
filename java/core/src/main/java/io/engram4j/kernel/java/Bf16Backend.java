package io.engram4j.kernel.java;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import io.engram4j.format.Bfloat16;
import io.engram4j.kernel.Backend;
import io.engram4j.model.HiddenStream;
import io.engram4j.model.LayerLayout;
import io.engram4j.table.Table;
import io.engram4j.weights.ConvWeights;
import io.engram4j.weights.GateWeights;
import io.engram4j.weights.Projection;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Rounds to bf16 at every point at which Qwen's engines do (docs/spec.md, section 9.1), for those
 * who must match one to the bit: key and value, the normed key and stream, their products, the sum,
 * its division, root and sigmoid, what is let through, the normed, its convolution, SiLU, and what
 * is added. Hash, gather and the product of the projection are another backend's; the rest is plain
 * Java. Sums are float32 in ascending order: engines add in other orders, which flips single steps.
 */
public final class Bf16Backend implements Backend {
  private static final float FLOOR = Bfloat16.round(1e-6f);

  private final Backend base;

  /** Rounds what a backend computes. */
  public Bf16Backend(Backend base) {
    this.base = base;
  }

  @Override
  public String name() {
    return base.name();
  }

  @Override
  public String description() {
    return base.description() + ", gate and convolution in bf16 by plain Java";
  }

  @Override
  public boolean acceptsMappings() {
    return base.acceptsMappings();
  }

  @Override
  public Hash hash(LayerLayout layout, Arena arena) {
    return base.hash(layout, arena);
  }

  @Override
  public Gather gather(Table table, Arena arena) {
    return base.gather(table, arena);
  }

  @Override
  public @Nullable Lookup lookup(List<LayerLayout> layouts, List<Table> tables, Arena arena) {
    return base.lookup(layouts, tables, arena);
  }

  @Override
  public Project project(Projection projection, Arena arena) {
    Project kernel = base.project(projection, arena);
    int outputs = projection.outputs();
    return (rows, tokens, first, count, kv) -> {
      kernel.run(rows, tokens, first, count, kv);
      for (int token = 0; token < tokens; token++) {
        long at = (long) token * outputs;
        for (long i = at + first; i < at + first + count; i++) {
          set(kv, i, get(kv, i));
        }
      }
    };
  }

  @Override
  public Gate gate(GateWeights weights, Arena arena) {
    return (kv, hidden, mask, tokens, gates, gated) -> {
      if (gated == null) {
        throw new IllegalStateException("the bf16 chain is that of models with a convolution");
      }
      gate(weights, kv, hidden, mask, tokens, gates, gated);
    };
  }

  private static void gate(
      GateWeights weights,
      MemorySegment kv,
      HiddenStream hidden,
      MemorySegment mask,
      long tokens,
      MemorySegment gates,
      MemorySegment gated) {
    int branches = weights.branches();
    int size = weights.hiddenSize();
    for (long token = 0; token < tokens; token++) {
      boolean live = mask.get(JAVA_BYTE, token) != 0;
      long value = (token * (branches + 1) + branches) * size;
      for (int branch = 0; branch < branches; branch++) {
        long key = (token * (branches + 1) + branch) * size;
        float gate = live ? gateOf(weights, branch, kv, key, hidden, hidden.at(token, branch)) : 0;
        gates.setAtIndex(JAVA_FLOAT_UNALIGNED, token * branches + branch, gate);
        long to = (token * branches + branch) * size;
        for (int i = 0; i < size; i++) {
          set(gated, to + i, live ? gate * get(kv, value + i) : 0);
        }
      }
    }
  }

  private static float gateOf(
      GateWeights weights,
      int branch,
      MemorySegment kv,
      long key,
      HiddenStream hidden,
      long stream) {
    int size = weights.hiddenSize();
    float keySquares = 0;
    float streamSquares = 0;
    for (int i = 0; i < size; i++) {
      float k = get(kv, key + i);
      float x = hidden.get(stream, i);
      keySquares += k * k;
      streamSquares += x * x;
    }
    float keyScale = scale(keySquares, size, weights.eps());
    float streamScale = scale(streamSquares, size, weights.eps());
    float sum = 0;
    for (int i = 0; i < size; i++) {
      float k = Bfloat16.round(get(kv, key + i) * keyScale * weights.key(branch, i));
      float q = Bfloat16.round(hidden.get(stream, i) * streamScale * weights.query(branch, i));
      sum += Bfloat16.round(k * q);
    }
    float score = Bfloat16.round(Bfloat16.round(sum) / (float) Math.sqrt(size));
    float root = Bfloat16.round((float) Math.sqrt(Math.max(Math.abs(score), FLOOR)));
    float signed = score == 0 ? 0 : Math.copySign(root, score);
    return Bfloat16.round((float) (1 / (1 + Math.exp(-signed))));
  }

  private static float scale(float squares, int size, float eps) {
    return (float) (1 / Math.sqrt(squares / size + eps));
  }

  @Override
  public Conv conv(ConvWeights weights, Arena arena) {
    return (gated, window, first, mask, tokens, hidden) -> {
      for (long token = 0; token < tokens; token++) {
        conv(weights, gated, window, first + token, mask, token, hidden);
      }
    };
  }

  private static void conv(
      ConvWeights weights,
      MemorySegment gated,
      MemorySegment window,
      long row,
      MemorySegment mask,
      long token,
      HiddenStream hidden) {
    int channels = weights.channels();
    int size = weights.hiddenSize();
    for (int branch = 0; branch < weights.branches(); branch++) {
      long from = token * channels + (long) branch * size;
      float squares = 0;
      for (int i = 0; i < size; i++) {
        squares += get(gated, from + i) * get(gated, from + i);
      }
      float scale = scale(squares, size, (float) weights.eps());
      for (int i = 0; i < size; i++) {
        int channel = branch * size + i;
        float normed = get(gated, from + i) * scale * weights.norm(channel);
        set(window, row * channels + channel, normed);
      }
    }
    boolean live = mask.get(JAVA_BYTE, token) != 0;
    for (int channel = 0; channel < channels; channel++) {
      long at = token * channels + channel;
      if (!live) {
        set(gated, at, 0);
        continue;
      }
      float sum = 0;
      for (int tap = 0; tap < weights.kernel(); tap++) {
        long back = row - weights.reach() + (long) tap * weights.dilation();
        sum += weights.tap(channel, tap) * get(window, back * channels + channel);
      }
      float convolved = Bfloat16.round(sum);
      float silu = Bfloat16.round((float) (convolved / (1 + Math.exp(-convolved))));
      float delta = Bfloat16.round(get(gated, at) + silu);
      set(gated, at, delta);
      long stream = hidden.at(token, channel / size);
      hidden.set(
          stream, channel % size, Bfloat16.round(hidden.get(stream, channel % size) + delta));
    }
  }

  private static float get(MemorySegment segment, long index) {
    return segment.getAtIndex(JAVA_FLOAT_UNALIGNED, index);
  }

  private static void set(MemorySegment segment, long index, float value) {
    segment.setAtIndex(JAVA_FLOAT_UNALIGNED, index, Bfloat16.round(value));
  }
}
