package io.engram4j.cli;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import io.engram4j.EngramBatch;
import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.model.Dtype;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.HiddenStream;
import io.engram4j.model.Stage;
import java.lang.foreign.MemorySegment;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.EnumMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * Runs token ids through a model's Engram layers, chunk by chunk, over hidden streams that a seed
 * determines: the same ids, seed and backend give the same output, whatever the chunk.
 */
final class Pipeline {
  private static final int CHUNK = 256;

  private final EngramModel model;
  private final List<EngramLayer> layers;
  private final long seed;
  private final Dtype dtype;

  /**
   * What came out.
   *
   * @param nanos per stage the time of all tokens and layers
   * @param gates per layer, in order, [tokens, branches]
   * @param digest SHA-256 of the updated streams
   */
  record Result(Map<Stage, Long> nanos, List<float[]> gates, String digest) {}

  /** A pipeline over some of a model's layers; V4.1 streams are bf16, the paper's float32. */
  Pipeline(EngramModel model, List<EngramLayer> layers, long seed) {
    this.model = model;
    this.layers = List.copyOf(layers);
    this.seed = seed;
    this.dtype = model.config().streamType();
  }

  Result run(int[] ids, Progress progress) {
    EngramConfig config = model.config();
    Map<Stage, Long> nanos = new EnumMap<>(Stage.class);
    List<float[]> gates =
        layers.stream().map(layer -> new float[ids.length * config.branches()]).toList();
    MessageDigest digest = sha256();
    EngramSequence sequence = model.newSequence();
    EngramBatch batch = model.newBatch();
    byte[] bytes = new byte[CHUNK * config.streamWidth() * dtype.bytes()];
    for (int from = 0; from < ids.length; from += CHUNK) {
      int start = from;
      int count = Math.min(CHUNK, ids.length - from);
      long clock = System.nanoTime();
      sequence.append(ids, from, count);
      batch.clear().add(sequence, from, count);
      nanos.merge(Stage.MAP, System.nanoTime() - clock, Long::sum);
      HiddenStream hidden = seeded(bytes, from, count);
      for (int i = 0; i < layers.size(); i++) {
        float[] own = gates.get(i);
        layers
            .get(i)
            .apply(
                batch,
                hidden,
                (stage, first, tokens, data, took) -> {
                  nanos.merge(stage, took, Long::sum);
                  if (stage == Stage.GATE) {
                    int at = (start + first) * config.branches();
                    int values = tokens * config.branches();
                    MemorySegment.copy(data, JAVA_FLOAT_UNALIGNED, 0, own, at, values);
                  }
                });
      }
      digest.update(bytes, 0, count * config.streamWidth() * dtype.bytes());
      progress.step(count);
    }
    return new Result(nanos, gates, HexFormat.of().formatHex(digest.digest()));
  }

  /** Fills the streams of tokens from a position on, each token from its own seed. */
  private HiddenStream seeded(byte[] bytes, int from, int count) {
    EngramConfig config = model.config();
    int branches = config.branches();
    int size = config.hiddenSize();
    HiddenStream hidden = HiddenStream.of(MemorySegment.ofArray(bytes), dtype, branches, size);
    for (int token = 0; token < count; token++) {
      SplittableRandom random = new SplittableRandom(seed * 1_000_003 + from + token);
      for (int branch = 0; branch < branches; branch++) {
        long at = hidden.at(token, branch);
        for (int i = 0; i < size; i++) {
          // the sum of two uniform draws: near enough to the bell of real streams, and fast
          long bits = random.nextLong();
          hidden.set(at, i, ((int) bits + (float) (int) (bits >>> 32)) * 0x1p-31f);
        }
      }
    }
    return hidden;
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every JDK has SHA-256", e);
    }
  }
}
