package io.engram4j.run;

import io.engram4j.model.Dtype;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.HiddenStream;
import io.engram4j.model.StageListener;
import io.engram4j.table.RowOverlay;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Executor;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * One step of a model on the host: its tokens' windows, the memory between stages, and rows that
 * are fetched ahead. Made by a {@link StepPool} and used again, so that decoding allocates nothing.
 * One owner at a time.
 */
@SuppressWarnings("NonAtomicVolatileUpdate") // of calls, which are this step's alone
public final class Step implements AutoCloseable {
  /** Tokens that go through the stages together. */
  public static final int BLOCK = Workspace.BLOCK;

  private final List<LayerRuntime> layers;
  private final Windows windows;
  private final Workspace space;
  private final Projector projector;
  private final @Nullable HostPass[] passes; // per layer, from its first use on
  private PrefetchedRows[] ahead = {}; // per layer, from the first prefetch on
  private Prefetch[] together = {}; // which fetch them
  private Prefetch[] apart = {}; // where there are too many for one request
  private Prefetch[] fetching = {}; // those of the two that were started last
  private volatile boolean closed;
  private boolean freed;

  /**
   * Calls that use this memory, which is freed with the model or the view that it belongs to; the
   * layers may belong to another view.
   */
  public final Lifetime.Call use;

  Step(
      EngramConfig config,
      int padId,
      List<LayerRuntime> layers,
      @Nullable Executor executor,
      int threads) {
    this.layers = layers;
    this.windows = new Windows(config.maxNgram(), padId);
    this.space = new Workspace(config);
    this.projector = new Projector(executor, threads);
    this.passes = new HostPass[layers.size()];
    this.use = layers.getFirst().lifetime().newCall();
  }

  /** Returns whether the memory was freed, with the model. */
  public boolean isClosed() {
    return closed;
  }

  /** Returns the tokens. Adding some, or clearing, must be told to {@link #cancel} before. */
  public Windows windows() {
    return windows;
  }

  /** Gives up what is being fetched ahead. */
  public void cancel() {
    for (Prefetch prefetch : together) {
      prefetch.cancel();
    }
    for (Prefetch prefetch : apart) {
      prefetch.cancel();
    }
  }

  /** Begins to fetch the rows of all tokens for all layers. */
  public void prefetch(Executor executor) {
    if (ahead.length == 0) {
      ahead =
          layers.stream()
              .map(layer -> new PrefetchedRows(windows, layer))
              .toArray(PrefetchedRows[]::new);
      together = Prefetch.together(windows, ahead);
      apart = Prefetch.apart(windows, ahead);
    }
    cancel();
    boolean few = true;
    for (Prefetch prefetch : together) {
      few &= prefetch.isFew();
    }
    fetching = few ? together : apart;
    for (Prefetch prefetch : fetching) {
      prefetch.start(executor);
    }
  }

  /** Returns whether rows are fetched ahead. */
  public boolean isPrefetched() {
    return prefetched(0) != null;
  }

  private @Nullable PrefetchedRows prefetched(int layer) {
    return ahead.length > 0 && ahead[layer].isStarted() ? ahead[layer] : null;
  }

  private void await(PrefetchedRows rows) {
    for (Prefetch prefetch : fetching) {
      if (prefetch.has(rows)) {
        prefetch.await(rows);
      }
    }
  }

  /** Returns what runs a layer on these tokens; views of a model have layers of their own. */
  private HostPass pass(LayerRuntime layer) {
    HostPass pass = passes[layer.index()];
    if (pass == null || !pass.isOf(layer)) {
      if (pass != null) {
        pass.close();
      }
      pass = new HostPass(layer, windows, space, projector);
      passes[layer.index()] = pass;
    }
    return pass;
  }

  /** Returns what calls are made with that use a layer for these tokens. */
  Lifetime.Call call(LayerRuntime layer) {
    return pass(layer).call();
  }

  /**
   * Runs a layer on all tokens, in place.
   *
   * @param hidden checked for so many tokens
   */
  public void apply(LayerRuntime layer, HiddenStream hidden, @Nullable StageListener listener) {
    HostPass pass = pass(layer);
    if (layer.conv() != null) {
      windows.requireConvolvable(layer.index());
    }
    int tokens = windows.tokens();
    space.reserve(Math.min(tokens, BLOCK));
    PrefetchedRows fetched = prefetched(layer.index());
    Lifetime.Call call = pass.call();
    call.begin();
    try {
      if (fetched != null) {
        await(fetched);
      }
      for (int first = 0; first < tokens; first += BLOCK) {
        pass.begin(first, Math.min(BLOCK, tokens - first), fetched);
        pass.run(hidden.from(first), listener);
      }
    } catch (InternalError e) {
      throw layer.shrunk(e);
    } finally {
      call.depth--;
      pass.end();
    }
  }

  /** Gathers rows of a layer by their ids, which somebody has checked. */
  public void gather(
      LayerRuntime layer, MemorySegment rowIds, long count, MemorySegment out, Dtype outType) {
    HostPass pass = pass(layer);
    Lifetime.Call call = pass.call();
    call.begin();
    try {
      pass.begin(rowIds, count, out, outType);
      pass.gatherByIds();
    } catch (InternalError e) {
      throw layer.shrunk(e);
    } finally {
      call.depth--;
      pass.end();
    }
  }

  /** Projects all tokens, a block at most, and lets the result go: a memo keeps it. */
  public void remember(LayerRuntime layer) {
    remember(layer, HostPass::remember);
  }

  /** What a memo does with the tokens of one block. */
  @FunctionalInterface
  public interface Seeding {
    /**
     * Seeds the memo.
     *
     * @param windows int32 [tokens, maxNgram]
     * @param rowIds int64 [tokens, columns], which may be changed
     * @param rows float32 [tokens, inputs], written by {@code gather}
     * @param gather fetches the rows of the ids
     */
    void run(
        Projector projector,
        MemorySegment windows,
        MemorySegment rowIds,
        MemorySegment rows,
        RowOverlay.Rows replaced,
        int tokens,
        Runnable gather);
  }

  /** Hashes all tokens, a block at most, and lets a memo choose which rows it wants. */
  public void remember(LayerRuntime layer, Seeding seeding) {
    remember(
        layer,
        pass -> {
          pass.hashOnly();
          seeding.run(
              projector,
              windows.windowsFrom(0),
              space.rowIds(),
              space.rows(),
              pass.replaced(),
              windows.tokens(),
              pass::gatherByIds);
        });
  }

  private void remember(LayerRuntime layer, Consumer<HostPass> work) {
    HostPass pass = pass(layer);
    space.reserve(windows.tokens());
    Lifetime.Call call = pass.call();
    call.begin();
    try {
      pass.begin(0, windows.tokens(), null);
      work.accept(pass);
    } catch (InternalError e) {
      throw layer.shrunk(e);
    } finally {
      call.depth--;
      pass.end();
    }
  }

  long bytes() {
    return windows.bytes()
        + space.bytes()
        + projector.bytes()
        + Arrays.stream(passes).filter(Objects::nonNull).mapToLong(HostPass::bytes).sum()
        + Arrays.stream(ahead).mapToLong(PrefetchedRows::bytes).sum();
  }

  /**
   * Gives up what is under way and frees the memory, once: the model's end and the owner may both
   * be at it. What fails is done by closing again.
   */
  @Override
  public synchronized void close() {
    closed = true;
    if (freed) {
      return;
    }
    cancel();
    for (PrefetchedRows rows : ahead) {
      rows.close();
    }
    for (HostPass pass : passes) {
      if (pass != null) {
        pass.close();
      }
    }
    projector.close();
    space.close();
    windows.close();
    use.close();
    freed = true;
  }
}
