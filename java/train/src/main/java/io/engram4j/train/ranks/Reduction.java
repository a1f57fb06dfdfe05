package io.engram4j.train.ranks;

import io.engram4j.host.Buffer;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What all ranks agree on: sums, in the order of ranks so that each has the same bits, the largest
 * of a number, and whether one of them failed. Calls wait for all ranks, and cost nothing where
 * there is one. For one thread at a time.
 */
public final class Reduction implements AutoCloseable {
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
  private static final ValueLayout.OfDouble DOUBLE = ValueLayout.JAVA_DOUBLE_UNALIGNED;
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;

  private final Ranks ranks;
  private final Buffer buffer = new Buffer();

  /** Reduces over ranks, which stay the caller's. */
  public Reduction(Ranks ranks) {
    this.ranks = ranks;
  }

  /** Returns the ranks. */
  public Ranks ranks() {
    return ranks;
  }

  /** Replaces values, as many on each rank, by their sums. */
  public void sum(float[] values) {
    int size = ranks.size();
    if (size == 1) {
      return;
    }
    // each rank adds up its share of the values, then all take all shares
    long[] at = new long[size];
    long[] bytes = new long[size];
    for (int rank = 0; rank < size; rank++) {
      at[rank] = 4L * share(values.length, rank);
      bytes[rank] = 4L * share(values.length, rank + 1) - at[rank];
    }
    MemorySegment memory = buffer.reserve(Math.max(4L, 4L * values.length));
    MemorySegment.copy(values, 0, memory, FLOAT, 0, values.length);
    int from = share(values.length, ranks.rank());
    int count = share(values.length, ranks.rank() + 1) - from;
    float[] sums = new float[count];
    for (MemorySegment part : ranks.exchange(memory, at, bytes)) {
      for (int i = 0; i < count; i++) {
        sums[i] += part.get(FLOAT, 4L * i);
      }
    }
    MemorySegment.copy(sums, 0, memory, FLOAT, 0, count);
    Arrays.fill(at, 0);
    Arrays.fill(bytes, 4L * count);
    int to = 0;
    for (MemorySegment part : ranks.exchange(memory, at, bytes)) {
      int floats = (int) (part.byteSize() / 4);
      MemorySegment.copy(part, FLOAT, 0, values, to, floats);
      to += floats;
    }
  }

  private int share(int length, int rank) {
    return (int) ((long) length * rank / ranks.size());
  }

  /** Returns the sums of some numbers, as many on each rank. */
  public double[] sum(double... values) {
    double[] sums = new double[values.length];
    for (MemorySegment part : all(MemorySegment.ofArray(values))) {
      for (int i = 0; i < sums.length; i++) {
        sums[i] += part.get(DOUBLE, 8L * i);
      }
    }
    return sums;
  }

  /** Returns the largest of the ranks' numbers. */
  public long max(long value) {
    long most = value;
    for (MemorySegment part : all(MemorySegment.ofArray(new long[] {value}))) {
      most = Math.max(most, part.get(LONG, 0));
    }
    return most;
  }

  /**
   * Checks that all ranks are at the same.
   *
   * @param text of this rank
   * @throws IllegalArgumentException on all of them, if they are not
   */
  public void requireSame(String text) {
    List<String> texts = texts(text);
    for (int rank = 1; rank < texts.size(); rank++) {
      if (!texts.get(rank).equals(texts.getFirst())) {
        throw new IllegalArgumentException(
            "rank " + rank + " has " + texts.get(rank) + ", but rank 0 " + texts.getFirst());
      }
    }
  }

  /**
   * Lets no rank go on alone when one of them failed.
   *
   * @param failure of this rank, if it failed; thrown
   * @throws IllegalStateException on those that did not fail, if another did
   */
  public void requireNone(@Nullable Throwable failure) {
    List<String> failures =
        ranks.size() == 1 ? List.of("") : texts(failure == null ? "" : "it failed: " + failure);
    if (failure instanceof RuntimeException unchecked) {
      throw unchecked;
    }
    if (failure instanceof Error error) {
      throw error;
    }
    if (failure != null) {
      throw new IllegalStateException(failure);
    }
    for (int rank = 0; rank < failures.size(); rank++) {
      if (!failures.get(rank).isEmpty()) {
        throw new IllegalStateException("rank " + rank + ": " + failures.get(rank));
      }
    }
  }

  private List<String> texts(String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    byte[] padded = Arrays.copyOf(bytes, (bytes.length + 3) / 4 * 4);
    return all(MemorySegment.ofArray(padded)).stream()
        .map(part -> new String(part.toArray(ValueLayout.JAVA_BYTE), StandardCharsets.UTF_8))
        .map(each -> each.replace("\0", ""))
        .toList();
  }

  /** Returns what each rank gives, such as this one's. */
  private List<MemorySegment> all(MemorySegment own) {
    MemorySegment memory = buffer.reserve(Math.max(8, own.byteSize()));
    MemorySegment.copy(own, 0, memory, 0, own.byteSize());
    long[] bytes = new long[ranks.size()];
    Arrays.fill(bytes, own.byteSize());
    return ranks.exchange(memory, new long[ranks.size()], bytes);
  }

  @Override
  public void close() {
    buffer.close();
  }
}
