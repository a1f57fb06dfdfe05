package io.engram4j;

import io.engram4j.kernel.Backend;
import io.engram4j.memo.NgramSeed;
import io.engram4j.model.Dtype;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.EngramLayout;
import io.engram4j.model.LayerLayout;
import io.engram4j.model.TokenMap;
import io.engram4j.table.RowOverlay;
import io.engram4j.table.Table;
import io.engram4j.weights.ConvWeights;
import io.engram4j.weights.LayerWeights;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.LongConsumer;
import org.jspecify.annotations.Nullable;

/**
 * An open model's Engram layers: configuration, token map, tables and weights. Immutable and
 * thread-safe. Closing refuses new calls with an {@link IllegalStateException}; the tables are
 * freed when the last call under way has ended.
 *
 * <p>Usually opened from a model directory by {@code EngramDirectory.open} of the module {@code
 * io.engram4j.hf}.
 */
public final class EngramModel implements AutoCloseable {
  private final EngramConfig config;
  private final TokenMap map;
  private final int padId;
  private final Backend backend;
  private final ModelMemory memory;
  private final List<EngramLayer> layers;
  private final ModelLookup lookup;
  private final boolean owner;
  private final RowOverlay overlay;
  private final @Nullable Executor executor;
  private final int threads;
  private final long memoBytes;

  /**
   * Puts a model together from its parts.
   *
   * @param map the token map; its size is checked against the configuration's
   * @param weights per layer, in the order of the configuration
   * @param memory closed with the model, such as an arena, or null if the caller keeps the tensors'
   *     memory
   * @throws IllegalArgumentException if parts do not fit each other
   */
  public EngramModel(
      EngramConfig config,
      TokenMap map,
      List<LayerWeights> weights,
      Backend backend,
      @Nullable AutoCloseable memory) {
    this(config, map, backend, new ModelMemory(memory), true, weights, null, null, 1, 0);
  }

  /**
   * A model without tables: its layers compute row ids and nothing else. For counting rows over a
   * corpus, or for an engine that keeps the tables itself.
   *
   * @throws IllegalArgumentException if the map does not fit the configuration
   */
  public static EngramModel hashOnly(EngramConfig config, TokenMap map, Backend backend) {
    return new EngramModel(
        config, map, backend, new ModelMemory(null), true, List.of(), null, null, 1, 0);
  }

  private EngramModel(
      EngramConfig config,
      TokenMap map,
      Backend backend,
      ModelMemory memory,
      boolean owner,
      List<LayerWeights> weights,
      @Nullable RowOverlay shared,
      @Nullable Executor executor,
      int threads,
      long memoBytes) {
    this.memoBytes = memoBytes;
    this.executor = executor;
    this.threads = threads;
    this.config = config;
    this.map = map;
    this.padId = map.get(config.padTokenId());
    this.backend = backend;
    this.memory = memory;
    this.owner = owner;
    config
        .compressedSize()
        .ifPresent(size -> expect("compressed vocabulary size", map.distinct(), size));
    List<LayerLayout> layouts = EngramLayout.of(config, map.distinct());
    if (!weights.isEmpty()) {
      expect("number of layers' weights", weights.size(), layouts.size());
    }
    List<EngramLayer> made = new ArrayList<>();
    for (int i = 0; i < layouts.size(); i++) {
      if (weights.isEmpty()) {
        made.add(new EngramLayer(this, i, layouts.get(i), null, 0));
      } else {
        check(layouts.get(i), weights.get(i), i);
        made.add(
            new EngramLayer(this, i, layouts.get(i), weights.get(i), memoBytes / layouts.size()));
      }
    }
    this.layers = List.copyOf(made);
    this.lookup = new ModelLookup(this, layers);
    this.overlay = shared == null ? new RowOverlay(tables(made)) : shared;
  }

  private static Map<Integer, Table> tables(List<EngramLayer> layers) {
    Map<Integer, Table> tables = new HashMap<>();
    for (EngramLayer layer : layers) {
      if (layer.hasWeights()) {
        tables.put(layer.id(), layer.weights().table());
      }
    }
    return tables;
  }

  private void check(LayerLayout layout, LayerWeights weights, int index) {
    String layer = "layer " + layout.layerId() + ": ";
    if (!config.tableRows().isEmpty()) {
      expect(layer + "sum of primes", layout.rows(), config.tableRows().get(index));
    }
    expect(layer + "rows of the table", weights.table().rows(), layout.rows());
    expect(layer + "width of a row", weights.table().headDim(), config.headDim());
    expect(layer + "inputs of the projection", weights.projection().inputs(), config.rowWidth());
    expect(layer + "outputs of the projection", weights.projection().outputs(), config.kvWidth());
    expect(layer + "branches of the gate", weights.gate().branches(), config.branches());
    expect(layer + "width of the gate", weights.gate().hiddenSize(), config.hiddenSize());
    ConvWeights conv = weights.conv();
    expect(
        layer + "taps of the convolution", conv == null ? 0 : conv.kernel(), config.convKernel());
    if (conv != null) {
      expect(layer + "branches of the convolution", conv.branches(), config.branches());
      expect(layer + "width of the convolution", conv.hiddenSize(), config.hiddenSize());
      expect(layer + "dilation of the convolution", conv.dilation(), config.convDilation());
    }
  }

  private static void expect(String what, long actual, long expected) {
    if (actual != expected) {
      throw new IllegalArgumentException(
          what + " is " + actual + ", but the configuration says " + expected);
    }
  }

  /** Returns a view of this model on another backend; it shares the tables and owns nothing. */
  public EngramModel withBackend(Backend other) {
    return view(other, executor, threads, memoBytes);
  }

  /**
   * Returns a view of this model whose layers project on several threads; it shares the tables and
   * owns nothing. Each call of {@link EngramLayer#apply} works on the calling thread and asks the
   * executor for the others; it waits for no thread that has not come, and nothing spins. Results
   * are the same to the bit.
   *
   * @param threads how many a call may take, the calling one included
   * @throws IllegalArgumentException if that is not positive
   */
  public EngramModel withExecutor(Executor other, int threads) {
    if (threads < 1) {
      throw new IllegalArgumentException("a call cannot take " + threads + " threads");
    }
    return view(backend, other, threads, memoBytes);
  }

  /**
   * Returns a view of this model that does not project an n-gram twice: what the rows of each order
   * contribute to key and value depends on the ids alone and is remembered, for all sequences of
   * the view, up to so many bytes; those wanted least are forgotten. It shares the tables and owns
   * nothing; a view of the view remembers for itself. {@link #statistics} tells what it saved.
   *
   * <p>Key and value are then a sum of one float32 number per order, each within the bound of the
   * projection. Rows of an {@link #overlay} are projected anew each time.
   *
   * @param bytes for all layers together; a V4.1 layer takes 102,400 per n-gram
   * @throws IllegalArgumentException if that is too little, there is not so much memory, or an
   *     order's rows are no multiple of 32 elements and weights are fp8
   */
  public EngramModel withMemo(long bytes) {
    if (bytes < layers.size()) {
      throw new IllegalArgumentException(
          "a memo of " + bytes + " bytes has no room for " + layers.size() + " layers");
    }
    return view(backend, executor, threads, bytes);
  }

  /**
   * Seeds the memos of all layers with a text, such as what the model is mostly used for: its
   * n-grams are projected now and need not be when they come. Takes as long as running the text
   * through the layers; later text may push it out again. On the threads of {@link #withExecutor}.
   *
   * @param tokenIds as for {@link EngramSequence#append}
   * @throws IllegalStateException if this is no view {@link #withMemo}, or the model is closed
   */
  public void remember(int[] tokenIds) {
    requireMemo();
    MemoSeeding.text(this, tokenIds);
  }

  /**
   * Seeds the memos of all layers with the most frequent n-grams of a corpus, as far as there is
   * room: they are projected now and need not be when they come. A V4.1 layer takes 0.7 to 1.6 ms
   * an n-gram on one core, by its tier. On the threads of {@link #withExecutor}.
   *
   * @param progress hears of n-grams that are done
   * @throws IllegalArgumentException if the seed is of a model of another shape
   * @throws IllegalStateException if this is no view {@link #withMemo}, or the model is closed
   */
  public void remember(NgramSeed seed, LongConsumer progress) {
    requireMemo();
    expect("longest n-gram of the seed", seed.maxNgram(), config.maxNgram());
    expect("number of compressed ids of the seed", seed.distinctIds(), map.distinct());
    MemoSeeding.ngrams(this, seed, progress);
  }

  private void requireMemo() {
    if (memoBytes == 0) {
      throw new IllegalStateException("this model has no memo; take a view withMemo(bytes)");
    }
  }

  private EngramModel view(Backend other, @Nullable Executor workers, int count, long memo) {
    List<LayerWeights> weights =
        layers.getFirst().hasWeights()
            ? layers.stream().map(EngramLayer::weights).toList()
            : List.of();
    return new EngramModel(
        config, map, other, memory, false, weights, overlay, workers, count, memo);
  }

  Projector newProjector() {
    return new Projector(executor, threads);
  }

  /** Returns the rows that are replaced while the model serves; all views share them. */
  public RowOverlay overlay() {
    return overlay;
  }

  /**
   * Returns what the rows of each layer have cost so far, in the order of the configuration.
   *
   * @throws IllegalStateException if the model was opened for hashing only
   */
  public List<LayerStatistics> statistics() {
    return layers.stream().map(EngramLayer::statistics).toList();
  }

  /** Threads for those who bring none, one per layer; they end when the model is closed. */
  Executor prefetchThreads() {
    return memory.threads(layers.size());
  }

  /** Returns the configuration. */
  public EngramConfig config() {
    return config;
  }

  /** Returns the token map. */
  public TokenMap map() {
    return map;
  }

  /** Returns the backend that runs the stages. */
  public Backend backend() {
    return backend;
  }

  /** Returns the Engram layers in the order of the configuration. */
  public List<EngramLayer> layers() {
    return layers;
  }

  /**
   * Returns the Engram layer of a model layer.
   *
   * @throws NoSuchElementException if that layer has none
   */
  public EngramLayer layer(int id) {
    for (EngramLayer layer : layers) {
      if (layer.id() == id) {
        return layer;
      }
    }
    throw new NoSuchElementException(
        "layer " + id + " has no Engram; those that have are " + config.layerIds());
  }

  /**
   * Computes the row ids of a batch and fetches their rows, for all layers: for engines that
   * project the rows themselves. With tables in memory and C kernels this is one call down, which
   * allocates nothing.
   *
   * @param rowIds int64 [layers, tokens, columns], written
   * @param rows [layers, tokens, columns * headDim], written
   * @param outType F32, or BF16 rounded to nearest even
   * @throws IllegalArgumentException if the batch belongs to another model or memory is too small
   * @throws IllegalStateException if the model is closed or was opened for hashing only
   * @throws java.io.UncheckedIOException if a table's file cannot be read, or has shrunk
   */
  public void lookup(EngramBatch batch, MemorySegment rowIds, MemorySegment rows, Dtype outType) {
    lookup.run(batch, rowIds, rows, outType);
  }

  /** Begins an empty sequence. */
  public EngramSequence newSequence() {
    return new EngramSequence(this, map);
  }

  /**
   * Continues a sequence from a snapshot.
   *
   * @throws IllegalArgumentException if the snapshot is of a model of another shape
   */
  public EngramSequence restore(SequenceSnapshot snapshot) {
    return EngramSequence.restore(this, map, snapshot);
  }

  /** Makes an empty batch, to be reused from step to step. */
  public EngramBatch newBatch() {
    return new EngramBatch(this, padId);
  }

  boolean isImage(int tokenId) {
    return config.imageTokenId().isPresent() && config.imageTokenId().getAsInt() == tokenId;
  }

  /**
   * Checks that a batch was made by this model or a view of it.
   *
   * @throws IllegalArgumentException if it was made by another
   */
  public void requireOwn(EngramBatch batch) {
    if (!batch.model().sharesWeights(this)) {
      throw new IllegalArgumentException("the batch belongs to another model");
    }
  }

  boolean sharesWeights(EngramModel other) {
    return memory == other.memory;
  }

  /**
   * Keeps the tables' memory until the hold is closed, even if the model is closed before: for what
   * reads it by its address, such as a device.
   *
   * @throws IllegalStateException if the model is closed
   */
  public Hold hold() {
    enter();
    AtomicBoolean held = new AtomicBoolean(true);
    return () -> {
      if (held.getAndSet(false)) {
        exit();
      }
    };
  }

  /** Keeps a model's memory; closing it twice does nothing. */
  @FunctionalInterface
  public interface Hold extends AutoCloseable {
    @Override
    void close();
  }

  /** Returns whether the model takes calls. */
  public boolean isOpen() {
    return memory.isOpen();
  }

  /** Keeps the tables open until {@link #exit}; allocates nothing. */
  void enter() {
    memory.enter();
  }

  void exit() {
    memory.exit();
  }

  /**
   * Refuses calls from now on and frees the tables, at once or when the last call under way ends.
   * Closing twice, or a view, does nothing.
   */
  @Override
  public void close() {
    if (!owner) {
      return;
    }
    memory.close();
  }
}
