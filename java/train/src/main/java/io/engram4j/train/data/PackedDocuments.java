package io.engram4j.train.data;

import io.engram4j.train.model.Batch;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Documents cut into pieces of at most a context, shuffled anew each time they were all seen, and
 * packed one behind the other: a sequence has as many as fit, and a piece that does not fit is cut.
 * Immutable and thread-safe.
 */
public final class PackedDocuments implements Sequences {
  private final String name;
  private final int context;
  private final long seed;
  private final List<int[]> pieces = new ArrayList<>();
  private final long targets;
  private final int digest;

  /**
   * Packs documents.
   *
   * @param name for messages and checkpoints
   * @param documents token ids of each, an end token included where one is wanted
   * @param context tokens of a sequence
   * @throws IllegalArgumentException if no document has two tokens, or a sequence none
   */
  public PackedDocuments(String name, List<int[]> documents, int context, long seed) {
    if (context < 1) {
      throw new IllegalArgumentException("a sequence has at least one token, not " + context);
    }
    this.name = name;
    this.context = context;
    this.seed = seed;
    int mixed = 1;
    for (int[] document : documents) {
      mixed = 31 * mixed + Arrays.hashCode(document);
      // pieces share a token: the last target of one is the first id of the next
      for (int from = 0; from + 1 < document.length; from += context) {
        pieces.add(
            Arrays.copyOfRange(document, from, Math.min(document.length, from + context + 1)));
      }
    }
    if (pieces.isEmpty()) {
      throw new IllegalArgumentException(
          "the corpus "
              + name
              + " has "
              + documents.size()
              + " documents, none of which has two tokens");
    }
    this.targets = pieces.stream().mapToLong(piece -> piece.length - 1).sum();
    this.digest = mixed;
  }

  /** Returns the tokens of a sequence. */
  public int context() {
    return context;
  }

  /** Returns the targets of all documents together. */
  public long targets() {
    return targets;
  }

  @Override
  public String describe() {
    return name + " " + targets + " " + Integer.toHexString(digest) + " seed " + seed;
  }

  @Override
  public Batch batch(long step, int sequences) {
    return sequences(step * sequences, sequences);
  }

  /**
   * Returns sequences by their number. An epoch has as many as its targets fill, the last one
   * padded with tokens that have neither target nor memory.
   */
  public Batch sequences(long first, int count) {
    long perEpoch = sequencesPerEpoch();
    int[] ids = new int[count * context];
    int[] targetIds = new int[count * context];
    int[] start = new int[count * context];
    boolean[] live = new boolean[count * context];
    for (int i = 0; i < count; i++) {
      long number = first + i;
      fill(number / perEpoch, number % perEpoch, ids, targetIds, start, live, i * context);
    }
    return new Batch(count, context, ids, targetIds, start, live);
  }

  /** Returns how many sequences hold each document once. */
  public long sequencesPerEpoch() {
    return (targets + context - 1) / context;
  }

  private void fill(
      long epoch, long sequence, int[] ids, int[] targetIds, int[] start, boolean[] live, int at) {
    Order order = order(epoch);
    long from = sequence * context;
    int index = order.pieceAt(from);
    int skip = (int) (from - order.begins[index]);
    int filled = 0;
    for (; filled < context && index < order.pieces.length; index++, skip = 0) {
      int[] piece = pieces.get(order.pieces[index]);
      int take = Math.min(context - filled, piece.length - 1 - skip);
      Arrays.fill(start, at + filled, at + filled + take, at + filled);
      Arrays.fill(live, at + filled, at + filled + take, true);
      System.arraycopy(piece, skip, ids, at + filled, take);
      System.arraycopy(piece, skip + 1, targetIds, at + filled, take);
      filled += take;
    }
    Arrays.fill(start, at + filled, at + context, at + filled);
    Arrays.fill(targetIds, at + filled, at + context, -1);
  }

  /** The order of an epoch's pieces, and the target at which each begins. */
  private static final class Order {
    final long epoch;
    final int[] pieces;
    final long[] begins;

    Order(long epoch, List<int[]> all, long seed) {
      this.epoch = epoch;
      this.pieces = new int[all.size()];
      this.begins = new long[all.size()];
      SplittableRandom random = new SplittableRandom(seed * 1_000_003 + epoch);
      for (int i = 0; i < pieces.length; i++) {
        int other = random.nextInt(i + 1);
        pieces[i] = pieces[other];
        pieces[other] = i;
      }
      long sum = 0;
      for (int i = 0; i < pieces.length; i++) {
        begins[i] = sum;
        sum += all.get(pieces[i]).length - 1;
      }
    }

    int pieceAt(long target) {
      int found = Arrays.binarySearch(begins, target);
      return found >= 0 ? found : -found - 2;
    }
  }

  private volatile Order last = new Order(-1, List.of(), 0);

  private Order order(long epoch) {
    Order known = last;
    if (known.epoch != epoch) {
      known = new Order(epoch, pieces, seed);
      last = known;
    }
    return known;
  }
}
