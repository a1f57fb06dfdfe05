package io.engram4j;

import io.engram4j.kernel.Backend;
import io.engram4j.kernel.java.Bf16Backend;
import io.engram4j.memo.MemoProjector;
import io.engram4j.memo.MemoSeeding;
import io.engram4j.model.Dtype;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.LayerLayout;
import io.engram4j.model.NgramSeed;
import io.engram4j.model.TokenMap;
import io.engram4j.run.ConvState;
import io.engram4j.run.LayerRuntime;
import io.engram4j.run.Lifetime;
import io.engram4j.run.ModelLookup;
import io.engram4j.run.Owner;
import io.engram4j.run.SequenceState;
import io.engram4j.run.Step;
import io.engram4j.run.StepPool;
import io.engram4j.table.RowOverlay;
import io.engram4j.table.Table;
import io.engram4j.weights.ConvWeights;
import io.engram4j.weights.LayerWeights;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Objects;
import java.util.concurrent.Executor;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;
import java.util.function.LongConsumer;
import org.jspecify.annotations.Nullable;

/**
 * An open model's Engram layers: configuration, token map, tables and weights. Immutable and
 * thread-safe. Closing refuses new calls with an {@link IllegalStateException}; the tables are
 * freed when the last call under way has ended.
 *
 * <p>Views ({@link #withBackend}, {@link #withExecutor}, {@link #withMemo}) share the tables, and
 * are refused when the model is closed. What a view has of its own, such as a memo and buffers, is
 * freed when it is closed, or with the model.
 *
 * <p>Usually opened from a model directory by {@code EngramDirectory.open} of the module {@code
 * io.engram4j.hf}.
 */
@SuppressWarnings("NonAtomicVolatileUpdate") // of calls, which are a step's alone
public final class EngramModel implements AutoCloseable {
  private final EngramConfig config;
  private final TokenMap map;
  private final Backend backend;
  private final Lifetime lifetime;
  private final List<EngramLayer> layers;
  private final StepPool steps;
  private final ModelLookup lookup;
  private final EngramSequence.Shared sequences;
  private final RowOverlay overlay;
  private final Options options;

  /**
   * What a view may have otherwise than another.
   *
   * @param executor of threads that project, or null
   * @param threads how many a call takes
   * @param memoBytes of remembered projections
   * @param rollback how many tokens convolutions can take back
   */
  private record Options(@Nullable Executor executor, int threads, long memoBytes, int rollback) {
    static final Options PLAIN = new Options(null, 1, 0, ConvState.ROLLBACK);
  }

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
    this(config, map, weights, backend, null, memory, null, Options.PLAIN);
  }

  /**
   * A model without tables: its layers compute row ids and nothing else. For counting rows over a
   * corpus, or for an engine that keeps the tables itself.
   *
   * @throws IllegalArgumentException if the map does not fit the configuration
   */
  public static EngramModel hashOnly(EngramConfig config, TokenMap map, Backend backend) {
    return new EngramModel(config, map, List.of(), backend, null, null, null, Options.PLAIN);
  }

  private EngramModel(
      EngramConfig config,
      TokenMap map,
      List<LayerWeights> weights,
      Backend backend,
      @Nullable Lifetime parent,
      @Nullable AutoCloseable tables,
      @Nullable RowOverlay sharedOverlay,
      Options options) {
    this.config = config;
    this.map = map;
    this.backend = backend;
    this.options = options;
    List<LayerLayout> layouts = ModelChecks.layouts(config, map, weights);
    this.overlay =
        sharedOverlay == null
            ? new RowOverlay(ModelChecks.shapes(layouts, weights))
            : sharedOverlay;
    Resources own = new Resources();
    own.add(tables);
    this.lifetime = parent == null ? new Lifetime(own) : parent.child(own);
    try {
      Arena arena = own.add(Arena.ofShared());
      List<MemoProjector> memos = memos(layouts, weights, own);
      List<LayerRuntime> runtimes = new ArrayList<>();
      for (int i = 0; i < layouts.size(); i++) {
        runtimes.add(
            new LayerRuntime(
                i,
                layouts.get(i),
                weights.isEmpty() ? null : weights.get(i),
                backend,
                memos.isEmpty() ? null : memos.get(i),
                lifetime,
                overlay,
                arena));
      }
      this.steps =
          own.add(
              new StepPool(
                  config,
                  map.get(config.padTokenId()),
                  runtimes,
                  options.executor,
                  options.threads));
      this.lookup = new ModelLookup(config, runtimes, overlay, backend, arena);
      List<EngramLayer> made = new ArrayList<>();
      for (int i = 0; i < runtimes.size(); i++) {
        MemoProjector memo = memos.isEmpty() ? null : memos.get(i);
        made.add(new EngramLayer(config, runtimes.get(i), steps, memo));
      }
      this.layers = List.copyOf(made);
      this.sequences =
          new EngramSequence.Shared(
              map,
              config.imageTokenId().orElse(-1),
              config.barrierTokenId().orElse(-1),
              new ModelKey(config, map),
              steps,
              lifetime);
    } catch (Throwable e) {
      own.forget(tables); // still the caller's
      lifetime.close();
      throw e;
    }
  }

  private List<MemoProjector> memos(
      List<LayerLayout> layouts, List<LayerWeights> weights, Resources own) {
    List<MemoProjector> memos = new ArrayList<>();
    for (int i = 0; options.memoBytes > 0 && i < weights.size(); i++) {
      memos.add(
          own.add(
              new MemoProjector(
                  backend,
                  layouts.get(i),
                  weights.get(i).projection(),
                  options.memoBytes / layouts.size())));
    }
    return memos;
  }

  /**
   * Returns a view of this model that rounds to bf16 wherever Qwen's engines do (docs/spec.md,
   * section 9.1), for those who must match one to the bit. Slower: gate and convolution are plain
   * Java then. Without this, everything is float32 and the stream is rounded once.
   *
   * <p>The view has no memo.
   *
   * @throws IllegalStateException if the model has no convolution: others round elsewhere
   */
  public EngramModel withBf16Stages() {
    if (config.convKernel() == 0) {
      throw new IllegalStateException(config.family() + " is not the family that rounds so");
    }
    // a memo adds what orders give, each of which would be rounded
    Options own = new Options(options.executor, options.threads, 0, options.rollback);
    return view(new Bf16Backend(backend), own);
  }

  /** Returns a view of this model on another backend. */
  public EngramModel withBackend(Backend other) {
    return view(other, options);
  }

  /**
   * Returns a view of this model whose layers project on several threads. Each call of {@link
   * EngramLayer#apply} works on the calling thread and asks the executor for the others; it waits
   * for no thread that has not come, and nothing spins. Results are the same to the bit.
   *
   * @param threads how many a call may take, the calling one included
   * @throws IllegalArgumentException if that is not positive
   */
  public EngramModel withExecutor(Executor other, int threads) {
    if (threads < 1) {
      throw new IllegalArgumentException("a call cannot take " + threads + " threads");
    }
    return view(backend, new Options(other, threads, options.memoBytes, options.rollback));
  }

  /**
   * Returns a view of this model that does not project an n-gram twice: what the rows of each order
   * contribute to key and value depends on the ids alone and is remembered, for all sequences of
   * the view, up to so many bytes; those wanted least are evicted. A view of the view remembers for
   * itself. {@link #statistics} tells what it saved; closing the view frees it.
   *
   * <p>Key and value are then a sum of one float32 number per order, each within the bound of the
   * projection. Rows of an {@link #overlay} are projected anew each time.
   *
   * @param bytes for all layers together; a V4.1 layer takes 102,400 per n-gram
   * @throws IllegalArgumentException if that is too little, there is not so much memory, or an
   *     order's rows are no whole blocks of the weights' type
   * @throws IllegalStateException if this is a view {@link #withBf16Stages}, or rows may become
   *     others, as those of remote tables that are not pinned
   */
  public EngramModel withMemo(long bytes) {
    if (backend instanceof Bf16Backend) {
      throw new IllegalStateException("a memo adds parts, which rounded stages must not round");
    }
    if (layers.stream().anyMatch(l -> l.hasWeights() && l.weights().table().mayChange())) {
      throw new IllegalStateException(
          "a memo keeps what rows gave, but these may become others; pin the remote tables");
    }
    if (bytes < layers.size()) {
      throw new IllegalArgumentException(
          "a memo of " + bytes + " bytes has no room for " + layers.size() + " layers");
    }
    return view(backend, new Options(options.executor, options.threads, bytes, options.rollback));
  }

  /**
   * Returns a view of this model whose sequences can take back so many tokens after the layers were
   * applied to them: what short convolutions have seen cannot be computed again from ids, so they
   * keep it. Without this it is 32; a token takes 4 bytes per channel and layer, in Qwen's case 41
   * KB. A model without convolutions can always go back to its first token.
   *
   * @throws IllegalArgumentException if that is negative or beyond 65,536
   */
  public EngramModel withRollback(int tokens) {
    if (tokens < 0 || tokens > 1 << 16) {
      throw new IllegalArgumentException(
          "convolutions cannot keep " + tokens + " tokens to take back, but 0 to 65536");
    }
    return view(backend, new Options(options.executor, options.threads, options.memoBytes, tokens));
  }

  private EngramModel view(Backend other, Options own) {
    return new EngramModel(config, map, weights(), other, lifetime, null, overlay, own);
  }

  private List<LayerWeights> weights() {
    return layers.getFirst().hasWeights()
        ? layers.stream().map(EngramLayer::weights).toList()
        : List.of();
  }

  /**
   * Seeds the memos of all layers with a text, such as what the model is mostly used for: its
   * n-grams are projected now and need not be when they come. Takes as long as running the text
   * through the layers; later text may evict it again. On the threads of {@link #withExecutor}.
   *
   * @param tokenIds as for {@link EngramSequence#append}
   * @throws IllegalStateException if this is no view {@link #withMemo}, or the model is closed
   */
  public void remember(int[] tokenIds) {
    EngramSequence sequence = newSequence();
    sequence.append(tokenIds);
    seed(seeding -> seeding.text(sequence.state()));
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
    ModelChecks.expect("longest n-gram of the seed", seed.maxNgram(), config.maxNgram());
    ModelChecks.expect("number of compressed ids of the seed", seed.distinctIds(), map.distinct());
    seed(seeding -> seeding.ngrams(seed, progress));
  }

  private void seed(Consumer<MemoSeeding> work) {
    requireMemo();
    List<MemoProjector> memos =
        layers.stream().map(layer -> Objects.requireNonNull(layer.memo())).toList();
    Step step = steps.take();
    try {
      step.use.begin();
      try {
        work.accept(new MemoSeeding(steps.layers(), memos, step, this::newState));
      } finally {
        step.use.depth--;
      }
    } finally {
      steps.give(step);
    }
  }

  private void requireMemo() {
    if (options.memoBytes == 0) {
      throw new IllegalStateException("this model has no memo; take a view withMemo(bytes)");
    }
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

  /**
   * Returns where the layers' tables are held and why, in the order of the configuration; nothing
   * if the model was opened for hashing only.
   */
  public List<TableInfo> tables() {
    return layers.stream()
        .filter(layer -> layer.runtime().hasWeights())
        .map(layer -> TableInfo.of(layer.id(), layer.weights().table()))
        .toList();
  }

  /**
   * Returns what memory this view holds.
   *
   * @throws IllegalStateException if the model was opened for hashing only
   */
  public MemoryStatistics memory() {
    long tables = 0;
    long caches = 0;
    long memos = 0;
    long buffers = steps.bytes();
    for (EngramLayer layer : layers) {
      Table table = layer.weights().table();
      LayerStatistics own = layer.statistics();
      tables += table.isInMemory() ? table.copies().size() * table.rows() * table.rowBytes() : 0;
      caches += own.rows().cacheBytes();
      buffers += own.rows().bufferBytes();
      memos += own.memo().mostBytes();
    }
    return new MemoryStatistics(tables, caches, memos, buffers);
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

  /** Returns its name, such as {@code cpu}; its package is for those who write backends. */
  public String backendName() {
    return backend.name();
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
    requireOwn(batch);
    Owner owner = batch.owner();
    Step step = batch.enter();
    try {
      lookup.run(step, rowIds, rows, outType);
    } finally {
      step.use.depth--;
      owner.busy = false;
    }
  }

  /** Begins an empty sequence. */
  public EngramSequence newSequence() {
    return new EngramSequence(sequences, newState());
  }

  private SequenceState newState() {
    return new SequenceState(config.maxNgram() - 1, convs(), options.rollback);
  }

  private List<@Nullable ConvWeights> convs() {
    return layers.getFirst().hasWeights()
        ? layers.stream().<@Nullable ConvWeights>map(layer -> layer.weights().conv()).toList()
        : Collections.nCopies(layers.size(), null);
  }

  /**
   * Continues a sequence from a snapshot.
   *
   * @throws IllegalArgumentException if the snapshot is of a model of another vocabulary, hashing
   *     or shape
   */
  public EngramSequence restore(SequenceSnapshot snapshot) {
    int lookBack = config.maxNgram() - 1;
    int[] last = EngramSequence.marked(snapshot, lookBack, sequences);
    return new EngramSequence(
        sequences,
        SequenceState.restore(
            lookBack, convs(), options.rollback, snapshot.length(), last, snapshot.convWindows()));
  }

  /** Makes an empty batch, to be reused from step to step. */
  public EngramBatch newBatch() {
    return new EngramBatch(steps, lifetime);
  }

  /**
   * Checks that a batch was made by this model or a view of it.
   *
   * @throws IllegalArgumentException if it was made by another
   */
  public void requireOwn(EngramBatch batch) {
    if (batch.lifetime().root() != lifetime.root()) {
      throw new IllegalArgumentException("the batch belongs to another model");
    }
  }

  /**
   * Keeps the tables' memory until the hold is closed, even if the model is closed before: for what
   * reads it by its address, such as a device.
   *
   * @throws IllegalStateException if the model is closed
   */
  public Hold hold() {
    lifetime.enter();
    AtomicBoolean held = new AtomicBoolean(true);
    return () -> {
      if (held.getAndSet(false)) {
        lifetime.exit();
      }
    };
  }

  /** Keeps a model's memory; closing it twice does nothing. */
  @FunctionalInterface
  public interface Hold extends AutoCloseable {
    @Override
    void close();
  }

  /**
   * Reads a few rows of each table, anywhere in it: for health checks, which so learn of a file
   * that was cut short or a mount that is gone before a call does.
   *
   * @throws java.io.UncheckedIOException if a table cannot be read; the message names it
   * @throws IllegalStateException if the model is closed or was opened for hashing only
   */
  public void probe() {
    for (EngramLayer layer : layers) {
      long rows = layer.layout().rows();
      long[] ids = ThreadLocalRandom.current().longs(8, 0, rows).toArray();
      ids[0] = rows - 1;
      float[] out = new float[ids.length * config.headDim()];
      layer.gather(MemorySegment.ofArray(ids), ids.length, MemorySegment.ofArray(out), Dtype.F32);
    }
  }

  /** Returns whether the model takes calls. */
  public boolean isOpen() {
    return lifetime.isOpen();
  }

  /**
   * Refuses calls from now on and frees what this model, or view, has of its own: at once, or by a
   * thread of its own a millisecond after the last call under way. Closing twice does nothing.
   */
  @Override
  public void close() {
    lifetime.close();
  }
}
