package io.engram4j.memo;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import io.engram4j.host.Buffer;
import io.engram4j.kernel.Backend;
import io.engram4j.run.Projector;
import io.engram4j.run.Step;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * A block of tokens on its way through a memo: which n-grams it had, which are computed, and their
 * sums. A slice of outputs goes all the way before the next begins, so that what orders contribute
 * to it stays in a cache: for all outputs at once a block took a tenth longer. Reused from block to
 * block; for one thread at a time.
 */
final class MemoBlock implements Projector.Work, AutoCloseable {
  /**
   * Outputs of a slice. Of 512 the memo was read and written in pieces too small to be fast, of
   * 2,048 there were fewer pieces than many CPUs have threads; the sums took 65 us a token with
   * 1,024 as with 2,048, and 75 with 512.
   */
  static final int SLICE = 1024;

  private final long[] key;
  private @Nullable ProjectMemo memo;
  private List<Slice> slices = List.of();
  private @Nullable MemorySegment kv; // to which sums go
  private Order[] orders = {};
  private int capacity;
  private int tokens;
  private int outputs;
  private int inputs; // of an order

  /**
   * Some of the outputs.
   *
   * @param first the first of them
   * @param kernels for each order, of these outputs alone
   */
  record Slice(int first, int outputs, List<Backend.Project> kernels) {}

  /** What a block has of one order. */
  private static final class Order {
    private final Buffer rows = new Buffer(); // of what is computed
    private final int[] places = new int[Step.BLOCK];
    private final int[] computed = new int[Step.BLOCK]; // where among the rows, or -1
    private int count;
  }

  /** A block for keys of so many longs. */
  MemoBlock(int keyWords) {
    this.key = new long[keyWords];
  }

  /** Returns room for a key. */
  long[] key() {
    return key;
  }

  /** Begins a block, of which nothing is pinned yet. */
  void begin(List<Slice> newSlices, int newTokens, int newInputs, int newOutputs) {
    slices = newSlices;
    tokens = newTokens;
    inputs = newInputs;
    outputs = newOutputs;
    if (orders.length == 0) {
      orders = new Order[slices.getFirst().kernels().size()];
      Arrays.setAll(orders, i -> new Order());
    }
    if (tokens > capacity) {
      for (Order order : orders) {
        order.rows.reserve(4L * tokens * inputs);
      }
      capacity = tokens;
    }
    for (Order order : orders) {
      order.count = 0;
      Arrays.fill(order.places, 0, tokens, ProjectMemo.PRIVATE);
      Arrays.fill(order.computed, 0, tokens, -1);
    }
  }

  /** Notes where an n-gram's place in the memo is, as {@link ProjectMemo#pin} told. */
  void place(int order, int token, int place) {
    orders[order].places[token] = place;
  }

  boolean isPlaced(int order, int token) {
    return orders[order].places[token] != ProjectMemo.PRIVATE;
  }

  /** Returns whether an n-gram must be computed: it has no place, or one that is not filled. */
  boolean isMissing(int order, int token) {
    return orders[order].places[token] < 0;
  }

  /** Takes a token's rows of an order, [tokens, orders, inputs], to be computed. */
  void compute(int order, int token, MemorySegment rows) {
    Order own = orders[order];
    long bytes = 4L * inputs;
    long from = bytes * ((long) token * orders.length + order);
    MemorySegment.copy(rows, from, own.rows.get(), bytes * own.count, bytes);
    own.computed[token] = own.count++;
  }

  /**
   * Computes what is missing and keeps it in its places.
   *
   * @param newKv float32 [tokens, outputs], to which the sums of all orders are written, or null
   */
  void run(ProjectMemo newMemo, Projector projector, @Nullable MemorySegment newKv) {
    memo = newMemo;
    kv = newKv;
    projector.run(this, slices.size());
  }

  /** Makes the places that were taken ready, or gives them up, and lets go of all. */
  void end(ProjectMemo own, boolean well) {
    for (Order order : orders) {
      for (int token = 0; token < tokens; token++) {
        int place = order.places[token];
        if (place < 0 && place != ProjectMemo.PRIVATE) {
          place = ~place;
          own.filled(place, well);
        }
        if (place >= 0) {
          own.unpin(place);
        }
      }
    }
    memo = null;
    kv = null;
  }

  /** A slice of the outputs. */
  @Override
  public void piece(int index, Projector.Space space) {
    Slice slice = slices.get(index);
    ProjectMemo from = Objects.requireNonNull(memo);
    MemorySegment to = kv;
    space.reserve(orders.length, 4L * capacity * SLICE);
    for (int i = 0; i < orders.length; i++) {
      Order order = orders[i];
      if (order.count > 0) {
        MemorySegment contributions = space.part(i);
        slice
            .kernels()
            .get(i)
            .run(order.rows.get(), order.count, 0, slice.outputs(), contributions);
        keep(order, contributions, slice, from);
      }
    }
    for (int token = 0; to != null && token < tokens; token++) {
      add(token, slice, space, from, to);
    }
  }

  /** Before anything is added: a token may find what another of its block has computed. */
  private void keep(Order order, MemorySegment contributions, Slice slice, ProjectMemo to) {
    long bytes = 4L * slice.outputs();
    for (int token = 0; token < tokens; token++) {
      int place = order.places[token];
      if (place < 0 && place != ProjectMemo.PRIVATE) {
        long from = bytes * order.computed[token];
        to.write(~place, slice.first(), slice.outputs(), contributions, from);
      }
    }
  }

  /** Adds what all orders contribute. Through arrays, as loops over segments stay scalar. */
  private void add(
      int token, Slice slice, Projector.Space space, ProjectMemo from, MemorySegment to) {
    int width = slice.outputs();
    float[] sum = space.sum(width);
    float[] term = space.term(width);
    for (int i = 0; i < orders.length; i++) {
      Order order = orders[i];
      int computed = order.computed[token];
      float[] into = i == 0 ? sum : term;
      if (computed >= 0) {
        long at = 4L * width * computed;
        MemorySegment.copy(space.part(i), JAVA_FLOAT_UNALIGNED, at, into, 0, width);
      } else {
        from.read(order.places[token], slice.first(), width, into);
      }
      if (i > 0) {
        add(sum, term, width);
      }
    }
    long at = 4L * ((long) outputs * token + slice.first());
    MemorySegment.copy(sum, 0, to, JAVA_FLOAT_UNALIGNED, at, width);
  }

  private static void add(float[] to, float[] term, int count) {
    for (int i = 0; i < count; i++) {
      to[i] += term[i];
    }
  }

  @Override
  public void close() {
    capacity = 0;
    for (Order order : orders) {
      order.rows.close();
    }
  }
}
