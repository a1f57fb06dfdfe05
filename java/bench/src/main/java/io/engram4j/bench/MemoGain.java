package io.engram4j.bench;

import com.knuddels.jtokkit.Encodings;
import com.knuddels.jtokkit.api.EncodingType;
import io.engram4j.EngramBatch;
import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.LayerStatistics.MemoStatistics;
import io.engram4j.memo.NgramCounter;
import io.engram4j.model.Dtype;
import io.engram4j.model.HiddenStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;

/**
 * What remembering projections gains on a text: one whole layer, streamed in chunks of 512 tokens,
 * with a memo and without, in turns; one thread. The memo begins with the most frequent n-grams of
 * the text before.
 */
public final class MemoGain {
  private static final int CHUNK = 512;

  private final EngramModel plain;
  private final EngramModel memo;
  private final int[] ids;
  private final HiddenStream hidden;

  private MemoGain(EngramModel model, long bytes, int[] ids) {
    this.plain = model;
    this.memo = model.withMemo(bytes);
    this.ids = ids;
    int branches = model.config().branches();
    int size = model.config().hiddenSize();
    MemorySegment stream = Arena.global().allocate(4L * CHUNK * branches * size, 64);
    this.hidden = HiddenStream.of(stream, Dtype.F32, branches, size);
  }

  /**
   * Returns how many times faster each of a text's last chunks is with the memo.
   *
   * @param bytes of the memo, for one layer
   * @param rounds chunks that are measured each way
   */
  public static double[] gains(EngramModel model, String text, long bytes, int rounds) {
    int[] tokens =
        Encodings.newDefaultEncodingRegistry()
            .getEncoding(EncodingType.CL100K_BASE)
            .encodeOrdinary(text)
            .toArray();
    int size = model.map().size();
    int warm = tokens.length - rounds * CHUNK;
    if (warm < 0) {
      throw new IllegalArgumentException(
          "the text has " + tokens.length + " tokens, but " + rounds * CHUNK + " are measured");
    }
    int[] ids = Arrays.stream(tokens).map(t -> t % size).toArray();
    // one layer is measured, and has the whole memo
    return new MemoGain(model, bytes * model.layers().size(), ids).measure(warm);
  }

  private void warm(int tokens) {
    NgramCounter counter = new NgramCounter(plain.config().maxNgram(), plain.map().distinct());
    EngramSequence text = plain.newSequence();
    text.append(ids, 0, tokens);
    try (EngramBatch batch = plain.newBatch().add(text, 0, tokens)) {
      counter.add(batch.windows(), batch.mask(), tokens);
    }
    long places = statistics().mostBytes() / (4L * plain.config().kvWidth());
    int most = Math.toIntExact(2 * places); // the last sets fill late
    memo.remember(counter.seed(most), n -> {});
  }

  private double[] measure(int warm) {
    warm(warm);
    MemoStatistics before = statistics();
    List<Double> gains = new ArrayList<>();
    List<Double> plainMillis = new ArrayList<>();
    EngramSequence one = plain.newSequence();
    EngramSequence other = memo.newSequence();
    EngramBatch oneBatch = plain.newBatch(); // used again, as an engine does
    EngramBatch otherBatch = memo.newBatch();
    for (int from = warm; from + CHUNK <= ids.length; from += CHUNK) {
      double without = chunk(plain, one, oneBatch, from);
      double with = chunk(memo, other, otherBatch, from);
      gains.add(without / with);
      plainMillis.add(without / CHUNK);
    }
    MemoStatistics after = statistics();
    long hits = after.hits() - before.hits();
    long misses = after.misses() - before.misses();
    System.err.printf(
        Locale.ROOT,
        "%,d tokens after %,d: %.2f ms/token without a memo; gain %.2f (%.2f to %.2f); "
            + "%.1f %% of n-grams known, %.2f of %.2f GB used, %,d evicted%n",
        ids.length - warm,
        warm,
        DecodeLoop.median(plainMillis),
        DecodeLoop.median(gains),
        Collections.min(gains),
        Collections.max(gains),
        100.0 * hits / (hits + misses),
        after.bytes() / 1e9,
        after.mostBytes() / 1e9,
        after.evictions());
    return gains.stream().mapToDouble(gain -> gain).toArray();
  }

  private MemoStatistics statistics() {
    return memo.statistics().getFirst().memo();
  }

  /** Returns the milliseconds of one chunk through one layer. */
  private double chunk(EngramModel model, EngramSequence sequence, EngramBatch batch, int from) {
    EngramLayer layer = model.layers().getFirst();
    sequence.append(Arrays.copyOfRange(ids, from, from + CHUNK));
    batch.clear().add(sequence, sequence.length() - CHUNK, CHUNK);
    long start = System.nanoTime();
    layer.apply(batch, hidden);
    return (System.nanoTime() - start) / 1e6;
  }
}
