package io.engram4j.cuda;

import io.engram4j.bindings.cuda.EngramCuda;
import io.engram4j.bridge.Plans;
import io.engram4j.model.Dtype;
import io.engram4j.model.EngramConfig;
import io.engram4j.run.LayerPass;
import io.engram4j.run.Windows;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * A layer's way over a step's tokens on a device: each stage queues its work. Rows are fetched and
 * gathered on the model's side stream, the rest runs on the engine's.
 */
final class CudaPass extends LayerPass {
  private final CudaModel model;
  private final CudaModel.Layer layer;
  private final Shared shared;
  private final int index;
  private final long columns;
  private final MemorySegment rows;
  private final MemorySegment ready; // event: the rows are there
  private final MemorySegment released; // event: nobody reads them any more
  private final @Nullable StagedRows staging; // if the table is staged
  private final ReplacedRows replaced;
  private final @Nullable ConvWindows conv;
  // of the step under way
  private CudaStream stream;
  private @Nullable CudaHidden hidden;
  private MemorySegment kv;
  private Dtype kvType = Dtype.F32;

  /** What the layers of a step share. */
  static final class Shared {
    final MemorySegment windows;
    final MemorySegment mask;
    final MemorySegment rowIds; // [layers, tokens, columns]
    final MemorySegment kv;
    final MemorySegment gates;
    int tokens;

    Shared(CudaModel model, int maxTokens, DeviceMemory memory) {
      EngramConfig config = model.model().config();
      int layers = model.layers().size();
      this.windows = memory.allocate(4L * maxTokens * config.maxNgram());
      this.mask = memory.allocate(maxTokens);
      this.rowIds = memory.allocate(8L * layers * maxTokens * config.columns());
      this.kv = memory.allocate(4L * maxTokens * config.kvWidth());
      this.gates = memory.allocate(4L * maxTokens * config.branches());
    }
  }

  CudaPass(CudaModel model, int index, Shared shared, int maxTokens, DeviceMemory memory) {
    this.model = model;
    this.layer = model.layers().get(index);
    this.index = index;
    this.shared = shared;
    EngramConfig config = model.model().config();
    this.columns = config.columns();
    Dtype type = model.options().rows();
    this.rows = memory.allocate((long) maxTokens * config.rowWidth() * type.bytes());
    this.ready = memory.event();
    this.released = memory.event();
    this.staging = layer.table().isStaged() ? new StagedRows(layer, maxTokens, memory) : null;
    this.replaced = new ReplacedRows(layer.layer(), config.headDim(), maxTokens, type, memory);
    DeviceWeights.Conv weights = layer.conv();
    this.conv = weights == null ? null : new ConvWindows(index, weights, maxTokens, memory);
    this.stream = model.side();
    this.kv = shared.kv;
  }

  MemorySegment rows() {
    return rows;
  }

  MemorySegment ready() {
    return ready;
  }

  MemorySegment released() {
    return released;
  }

  boolean isStaged() {
    return staging != null;
  }

  /**
   * Reads what the host must of a batch, before anything is queued.
   *
   * @return whether rows of an overlay are among them
   */
  boolean read(Windows batch) {
    boolean replacing = replaced.read(batch, model.model().overlay().of(layer.layer().id()));
    if (staging != null) {
      staging.read(batch);
    }
    if (conv != null) {
      conv.read(batch);
    }
    return replacing;
  }

  /** Takes what the engine gives for the stages behind the rows. */
  void begin(CudaStream on, @Nullable CudaHidden states, MemorySegment keyValue, Dtype type) {
    stream = on;
    hidden = states;
    kv = keyValue;
    kvType = type;
  }

  /** The row ids of this layer among those of the batch. */
  private MemorySegment rowIds() {
    return MemorySegment.ofAddress(shared.rowIds.address() + 8L * index * shared.tokens * columns);
  }

  /** One launch hashes for all layers: that of the first. */
  @Override
  protected void hash() {
    if (index == 0) {
      CudaLibrary.check(
          "engram_cuda_hash",
          EngramCuda.engram_cuda_hash(
              model.side().queue(), model.layouts(), shared.windows, shared.tokens, shared.rowIds));
    }
  }

  @Override
  protected void fetch() {
    if (staging != null) {
      staging.send(shared.tokens, model.side());
    }
  }

  @Override
  protected void gather() {
    int type = Plans.type(model.options().rows());
    if (staging != null) {
      staging.gather(shared.tokens, model.side(), rows, type);
    } else {
      layer.table().gather(model.side(), rowIds(), shared.tokens * columns, rows, type);
    }
  }

  @Override
  protected void overlay() {
    replaced.send(model.side(), rows);
  }

  /** Lets rows that were gathered come into the cache, if the options say so. */
  void keep() {
    layer.table().keep(model.side(), rowIds(), shared.tokens * columns);
  }

  @Override
  protected void project() {
    DeviceWeights.Parts parts = layer.projection();
    parts.project(
        stream,
        rows,
        Plans.type(model.options().rows()),
        shared.tokens,
        0,
        parts.width(),
        shared.kv,
        parts.width());
  }

  private CudaHidden hidden() {
    CudaHidden given = hidden;
    if (given == null) {
      throw new IllegalStateException("no hidden states were given");
    }
    return given;
  }

  @Override
  protected void gate() {
    MemorySegment apart = conv == null ? MemorySegment.NULL : conv.gated();
    layer
        .gate()
        .run(
            stream,
            kv,
            Plans.type(kvType),
            hidden(),
            shared.mask,
            shared.tokens,
            shared.gates,
            apart);
  }

  @Override
  protected boolean hasConv() {
    return conv != null;
  }

  @Override
  protected void conv() {
    if (conv != null) {
      conv.run(stream, shared.mask, hidden());
    }
  }

  /** Gives sequences what their convolutions have computed. */
  void settle() {
    if (conv != null) {
      conv.settle();
    }
  }
}
