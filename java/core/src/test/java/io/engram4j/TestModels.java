package io.engram4j;

import io.engram4j.kernel.java.JavaBackend;
import io.engram4j.model.Dtype;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.EngramLayout;
import io.engram4j.model.TokenMap;
import io.engram4j.table.RowType;
import io.engram4j.table.Table;
import io.engram4j.weights.ConvWeights;
import io.engram4j.weights.GateWeights;
import io.engram4j.weights.GateWeights.ZeroRule;
import io.engram4j.weights.LayerWeights;
import io.engram4j.weights.Linear;
import io.engram4j.weights.Projection;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.OptionalInt;
import java.util.Random;

/** Configurations and small random models for tests. */
public final class TestModels {
  private TestModels() {}

  /** DeepSeek-V4.1-Flash's configuration. */
  public static EngramConfig v41Flash() {
    return EngramConfig.builder()
        .hiddenSize(5120)
        .branches(4)
        .layerIds(List.of(1, 14))
        .ngrams(4, 16_000_000L)
        .heads(8, 256)
        .padTokenId(2)
        .imageTokenId(OptionalInt.of(129264))
        .compressedSize(OptionalInt.of(99092))
        .tableRows(List.of(384_006_168L, 384_016_682L))
        .build();
  }

  /** The configuration of the paper's demo. */
  public static EngramConfig paperDemo() {
    return EngramConfig.builder()
        .hiddenSize(1024)
        .branches(4)
        .layerIds(List.of(1, 15))
        .ngrams(3, List.of(646_400L, 646_400L))
        .heads(8, 64)
        .padTokenId(2)
        .normEps(0x1p-23)
        .conv(4, 3)
        .streamType(Dtype.F32)
        .build();
  }

  /** A V4.1 configuration of another size. */
  public static EngramConfig v41(
      int hidden,
      int branches,
      List<Integer> layers,
      int maxNgram,
      List<Long> sizes,
      int heads,
      int headDim) {
    return EngramConfig.builder()
        .hiddenSize(hidden)
        .branches(branches)
        .layerIds(layers)
        .ngrams(maxNgram, sizes)
        .heads(heads, headDim)
        .imageTokenId(OptionalInt.of(99))
        .build();
  }

  /** A map of 129,280 ids to 99,092 that leaves the first ids alone, as V4.1's does. */
  public static TokenMap v41SizedMap() {
    int[] map = new int[129_280];
    for (int id = 0; id < map.length; id++) {
      map[id] = id < 99_092 ? id : id - 99_092;
    }
    return TokenMap.of(map);
  }

  /** A map of 100 ids to 80. */
  public static TokenMap smallMap() {
    int[] map = new int[100];
    for (int id = 0; id < map.length; id++) {
      map[id] = id % 80;
    }
    return TokenMap.of(map);
  }

  /** A small random model in V4.1's layout; token 99 is its image token. */
  public static EngramModel v41() {
    return model(v41(24, 3, List.of(1, 4), 4, Collections.nCopies(3, 50L), 3, 8));
  }

  /** A small random model in the paper's layout. */
  public static EngramModel paper() {
    return model(
        EngramConfig.builder()
            .hiddenSize(16)
            .branches(2)
            .layerIds(List.of(0, 2))
            .ngrams(3, List.of(40L, 60L))
            .heads(2, 8)
            .normEps(0x1p-23)
            .conv(4, 3)
            .streamType(Dtype.F32)
            .build());
  }

  /** A random model of a configuration, over the small map. */
  public static EngramModel model(EngramConfig config) {
    return model(config, 0);
  }

  /** The same with tables that have more rows than there are places for. */
  public static EngramModel model(EngramConfig config, int more) {
    Random random = new Random(1);
    List<LayerWeights> weights = new ArrayList<>();
    for (long[] primes : EngramLayout.primes(config)) {
      weights.add(weights(config, Arrays.stream(primes).sum() + more, random));
    }
    return new EngramModel(config, smallMap(), weights, new JavaBackend(), null);
  }

  private static LayerWeights weights(EngramConfig config, long rows, Random random) {
    int size = config.hiddenSize();
    int width = config.streamWidth();
    Table table = table(config, rows, random);
    Linear linear =
        new Linear(
            "wkv",
            config.kvWidth(),
            config.rowWidth(),
            RowType.F32,
            MemorySegment.ofArray(gaussians(config.kvWidth() * config.rowWidth(), random)),
            null,
            gaussians(config.kvWidth(), random));
    boolean v41 = config.convKernel() == 0;
    GateWeights gate =
        new GateWeights(
            config.branches(),
            size,
            gaussians(width, random),
            gaussians(width, random),
            config.normEps(),
            v41 ? ZeroRule.COPYSIGN : ZeroRule.SIGNUM);
    ConvWeights conv =
        v41
            ? null
            : new ConvWeights(
                config.branches(),
                size,
                config.convKernel(),
                config.convDilation(),
                gaussians(width * config.convKernel(), random),
                gaussians(width, random),
                1e-5);
    return new LayerWeights(table, new Projection(List.of(linear)), gate, conv);
  }

  private static Table table(EngramConfig config, long rows, Random random) {
    byte[] codes = new byte[(int) rows * config.headDim()];
    random.nextBytes(codes);
    for (int i = 0; i < codes.length; i++) {
      codes[i] = (codes[i] & 0x7f) == 0x7f ? 0 : codes[i];
    }
    byte[] scales = new byte[(int) rows * RowType.F8_E4M3.scaleBytes(config.headDim())];
    Arrays.fill(scales, (byte) 119);
    return Table.of(
        "table",
        RowType.F8_E4M3,
        rows,
        config.headDim(),
        MemorySegment.ofArray(codes),
        MemorySegment.ofArray(scales));
  }

  /** Random numbers around zero. */
  public static float[] gaussians(int count, Random random) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }
}
