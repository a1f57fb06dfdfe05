package io.engram4j.run;

import io.engram4j.kernel.Backend;
import io.engram4j.model.Dtype;
import io.engram4j.model.HiddenStream;
import io.engram4j.model.LayerLayout;
import io.engram4j.model.Stage;
import io.engram4j.model.StageListener;
import io.engram4j.table.RowOverlay;
import io.engram4j.weights.ConvWeights;
import io.engram4j.weights.LayerWeights;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * A layer's way over blocks of a step's tokens on the host. Kept from step to step, so that
 * decoding allocates nothing; used by one thread at a time.
 */
final class HostPass extends LayerPass implements AutoCloseable {
  private static final HiddenStream NONE = HiddenStream.of(new float[0], 1, 1);

  private final LayerRuntime layer;
  private final LayerLayout layout;
  private final LayerWeights weights;
  private final Windows windows;
  private final Workspace space;
  private final Projector projector;
  private final Lifetime.Call call;
  private final Staging staging; // where the table is not in memory
  // of the block under way
  private int first;
  private int tokens;
  private @Nullable PrefetchedRows ahead;
  private MemorySegment rowIds = MemorySegment.NULL;
  private MemorySegment rows = MemorySegment.NULL;
  private long count; // of rows
  private Dtype rowType = Dtype.F32;
  private RowOverlay.Rows replaced;
  private HiddenStream hidden = NONE;
  private @Nullable StageListener listener;
  private long clock;

  HostPass(LayerRuntime layer, Windows windows, Workspace space, Projector projector) {
    this.layer = layer;
    this.layout = layer.layout();
    this.weights = layer.weights();
    this.windows = windows;
    this.space = space;
    this.projector = projector;
    this.staging = new Staging(weights.table());
    this.replaced = layer.replaced();
    this.call = layer.lifetime().newCall();
  }

  /** Returns what calls of this layer are made with. */
  Lifetime.Call call() {
    return call;
  }

  boolean isOf(LayerRuntime other) {
    return layer == other;
  }

  /**
   * Begins a block of tokens.
   *
   * @param fetched the rows of all tokens that were fetched ahead, or null
   */
  void begin(int newFirst, int newTokens, @Nullable PrefetchedRows fetched) {
    first = newFirst;
    tokens = newTokens;
    ahead = fetched;
    rowIds = fetched == null ? space.rowIds() : fetched.rowIdsFrom(newFirst);
    rows = space.rows();
    count = (long) newTokens * layout.columns();
    rowType = Dtype.F32;
    replaced = layer.replaced();
  }

  /** Begins to gather rows for somebody who has their ids. */
  void begin(MemorySegment ids, long idCount, MemorySegment out, Dtype outType) {
    ahead = null;
    rowIds = ids;
    rows = out;
    count = idCount;
    rowType = outType;
    replaced = layer.replaced();
  }

  /** Lets go of what belongs to the caller. */
  void end() {
    hidden = NONE;
    listener = null;
    ahead = null;
    rowIds = MemorySegment.NULL;
    rows = MemorySegment.NULL;
  }

  /** Runs all stages on a block that was begun. */
  void run(HiddenStream newHidden, @Nullable StageListener newListener) {
    hidden = newHidden;
    listener = newListener;
    clock = newListener == null ? 0 : System.nanoTime();
    if (ahead == null) {
      fetchRows();
    } else {
      done(Stage.HASH);
    }
    gatherRows();
    applyRows();
  }

  /** Fetches, gathers and projects a block that was begun, and lets the result go. */
  void remember() {
    fetchRows();
    gatherRows();
    projectRows();
  }

  /** Gathers the rows of a block that was begun by their ids. */
  void gatherByIds() {
    fetch();
    gatherRows();
  }

  /** Computes the row ids of a block that was begun. */
  void hashOnly() {
    hash();
  }

  RowOverlay.Rows replaced() {
    return replaced;
  }

  @Override
  protected void hash() {
    layer.hash(windows.windowsFrom(first), tokens, rowIds);
  }

  @Override
  protected void fetch() {
    if (layer.gather() == null) {
      staging.fetch(rowIds, count);
    }
  }

  @Override
  protected void gather() {
    if (ahead != null) {
      long from = (long) first * layout.columns();
      ahead.staging().gather(layer.backend(), from, count, rows, rowType);
      return;
    }
    Backend.Gather kernel = layer.gather();
    if (kernel != null) {
      kernel.run(rowIds, count, rows, rowType);
    } else {
      staging.gather(layer.backend(), 0, count, rows, rowType);
    }
  }

  @Override
  protected void overlay() {
    replaced.apply(rowIds, count, rows, rowType);
  }

  @Override
  protected void project() {
    layer
        .projectStage()
        .run(projector, windows.windowsFrom(first), rowIds, rows, replaced, tokens, space.kv());
  }

  @Override
  protected boolean hasConv() {
    return layer.conv() != null;
  }

  @Override
  protected void gate() {
    MemorySegment mask = windows.maskFrom(first);
    MemorySegment apart = hasConv() ? space.gated() : null;
    layer.gate().run(space.kv(), hidden, mask, tokens, space.gates(), apart);
  }

  @Override
  protected void conv() {
    ConvWeights conv = Objects.requireNonNull(weights.conv());
    Backend.Conv kernel = Objects.requireNonNull(layer.conv());
    for (int part = 0; part < windows.parts(); part++) {
      int from = Math.max(first, windows.start(part));
      int some = Math.min(first + tokens, windows.end(part)) - from;
      if (some > 0) {
        convolve(conv, kernel, part, from, some);
      }
    }
  }

  /** Convolves what this block holds of one sequence. */
  private void convolve(ConvWeights conv, Backend.Conv kernel, int part, int from, int some) {
    ConvState state = windows.sequence(part).convState(layer.index());
    int position = windows.position(part, from);
    int at = from - first;
    MemorySegment gated =
        at == 0 ? space.gated() : space.gated().asSlice(4L * conv.channels() * at);
    MemorySegment mask = windows.maskFrom(from);
    HiddenStream stream = hidden.from(at);
    if (some <= ConvState.IN_PLACE) {
      int row = state.prepare(position, some);
      kernel.run(gated, state.window(), row, mask, some, stream);
      state.commit(position, some);
    } else {
      MemorySegment window = space.window();
      state.load(position, window);
      kernel.run(gated, window, conv.reach(), mask, some, stream);
      state.store(position, some, window);
    }
  }

  @Override
  protected void done(Stage stage) {
    StageListener told = listener;
    if (told == null) {
      return;
    }
    long nanos = System.nanoTime() - clock;
    told.after(stage, first, tokens, made(stage).asReadOnly(), nanos);
    clock = System.nanoTime();
  }

  private MemorySegment made(Stage stage) {
    return switch (stage) {
      case HASH -> rowIds.asSlice(0, 8L * tokens * layout.columns());
      case GATHER -> rows.asSlice(0, 4L * tokens * weights.projection().inputs());
      case PROJECT -> space.kv().asSlice(0, 4L * tokens * weights.projection().outputs());
      case GATE -> space.gates().asSlice(0, 4L * tokens * weights.gate().branches());
      case CONV ->
          space.gated().asSlice(0, 4L * tokens * Objects.requireNonNull(weights.conv()).channels());
      case MAP -> throw new AssertionError("a layer does not map");
    };
  }

  long bytes() {
    return staging.bytes();
  }

  @Override
  public void close() {
    call.close();
    staging.close();
  }
}
