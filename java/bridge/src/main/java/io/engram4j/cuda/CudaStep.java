package io.engram4j.cuda;

import io.engram4j.EngramBatch;
import io.engram4j.bindings.cuda.EngramCuda;
import io.engram4j.bridge.Plans;
import io.engram4j.model.Dtype;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * One step of a model on a device: {@link #prefetch} as soon as the tokens are known, then, layer
 * by layer, {@link #apply} on the engine's stream. Nothing is allocated on the device, and nothing
 * waits but the device's streams for each other.
 *
 * <p>{@code apply} is {@link #await}, {@link #project}, {@link #gate} and {@link #release}. An
 * engine with a matrix product of its own projects {@link #rows} itself. For a CUDA graph capture
 * {@code project} and {@code gate}, whose addresses stay the same, and keep {@code await} and
 * {@code release}, which order it with the lookups, outside; the number of tokens is part of what
 * is captured.
 *
 * <p>Layers of a step share memory for key and value: run them one after the other on one stream,
 * or on streams that wait for each other. One owner at a time; another thread may close it.
 */
public final class CudaStep implements AutoCloseable {
  private final CudaModel model;
  private final DeviceMemory memory;
  private final int maxTokens;
  private final Dtype rowType;
  private final MemorySegment hostWindows;
  private final MemorySegment hostMask;
  private final MemorySegment windows;
  private final MemorySegment mask;
  private final MemorySegment rowIds; // [layers, tokens, columns]
  private final MemorySegment sent; // event: the host's memory may be written again
  private final MemorySegment done; // event: the lookups have read all they read
  private final MemorySegment kv;
  private final MemorySegment gates;
  private final List<LayerRows> rows = new ArrayList<>();
  private int tokens;
  private boolean prefetched;
  private boolean closed;

  /**
   * What a layer's rows need.
   *
   * @param ready event: the rows are there
   * @param released event: nobody reads them any more
   * @param staging what the host sends, if the table is staged; else it is empty
   */
  private record LayerRows(
      MemorySegment rows, MemorySegment ready, MemorySegment released, List<StagedRows> staging) {}

  private CudaStep(CudaModel model, DeviceMemory memory, int maxTokens) {
    this.model = model;
    this.memory = memory;
    this.maxTokens = maxTokens;
    this.rowType = model.options().rows();
    var config = model.model().config();
    int layers = model.layers().size();
    this.hostWindows = memory.pinned(4L * maxTokens * config.maxNgram());
    this.hostMask = memory.pinned(maxTokens);
    this.windows = memory.allocate(4L * maxTokens * config.maxNgram());
    this.mask = memory.allocate(maxTokens);
    this.rowIds = memory.allocate(8L * layers * maxTokens * columns());
    this.sent = memory.event();
    this.done = memory.event();
    this.kv = memory.allocate(4L * maxTokens * config.kvWidth());
    this.gates = memory.allocate(4L * maxTokens * config.branches());
    for (CudaModel.Layer layer : model.layers()) {
      long bytes = (long) maxTokens * config.rowWidth() * rowType.bytes();
      boolean staged = layer.table().isStaged();
      rows.add(
          new LayerRows(
              memory.allocate(bytes),
              memory.event(),
              memory.event(),
              staged ? List.of(new StagedRows(layer, maxTokens, memory)) : List.of()));
    }
  }

  static CudaStep of(CudaModel model, int maxTokens) {
    DeviceMemory memory = new DeviceMemory(model.device());
    try {
      return new CudaStep(model, memory, maxTokens);
    } catch (RuntimeException | Error e) {
      try {
        memory.close();
      } catch (CudaException second) {
        e.addSuppressed(second);
      }
      throw e;
    }
  }

  /**
   * Begins to fetch the rows of a batch for all layers, on a stream beside the model's: row ids are
   * computed on the device, then each layer's rows are read, one layer after the other. Returns as
   * soon as that is queued; for staged tables when the host has read the rows. The batch may change
   * afterwards.
   *
   * <p>Waits, if it must, for the rows of this step's last batch to have been sent, and lets the
   * device wait for its layers to be released.
   *
   * @throws IllegalArgumentException if the batch has more tokens than the step or is another
   *     model's
   * @throws IllegalStateException if something is closed, or the model has rows replaced by an
   *     overlay, which a device does not see
   */
  public synchronized void prefetch(EngramBatch batch) {
    CudaPrefetchEvent event = new CudaPrefetchEvent();
    event.begin();
    requireOpen();
    if (batch.tokens() > maxTokens) {
      throw new IllegalArgumentException(
          "the batch has " + batch.tokens() + " tokens, but the step at most " + maxTokens);
    }
    if (!model.model().overlay().sets().isEmpty()) {
      throw new IllegalStateException(
          "the model has " + model.model().overlay().sets().size() + " sets of replaced rows");
    }
    model.model().requireOwn(batch);
    MemorySegment from = batch.windows();
    awaitOnHost(sent);
    prefetched = false; // until all is queued
    int count = batch.tokens();
    MemorySegment.copy(from, 0, hostWindows, 0, from.byteSize());
    MemorySegment.copy(batch.mask(), 0, hostMask, 0, count);
    rows.forEach(each -> each.staging().forEach(staged -> staged.read(batch)));
    CudaStream side = model.side();
    synchronized (side) { // so that lookups of several steps do not mix
      try {
        for (int layer = 0; layer < rows.size(); layer++) {
          side.await(rows.get(layer).released());
        }
        side.copy(windows, hostWindows, from.byteSize());
        side.copy(mask, hostMask, count);
        rows.forEach(each -> each.staging().forEach(staged -> staged.send(count, side)));
      } finally {
        side.record(sent); // what was queued reads the host's memory, whatever happened after it
      }
      CudaLibrary.check(
          "engram_cuda_hash",
          EngramCuda.engram_cuda_hash(side.queue(), model.layouts(), windows, count, rowIds));
      try {
        for (int layer = 0; layer < rows.size(); layer++) {
          lookup(layer, count, side);
        }
        for (int layer = 0; layer < rows.size(); layer++) {
          keep(layer, count, side); // when the rows of all layers are on their way
        }
      } finally {
        side.record(done);
      }
    }
    tokens = count;
    prefetched = true;
    model.countTokens(count);
    event.device = model.device();
    event.tokens = count;
    event.stagedLayers = (int) rows.stream().filter(each -> !each.staging().isEmpty()).count();
    event.commit();
  }

  private void awaitOnHost(MemorySegment event) {
    CudaLibrary.check(
        "engram_cuda_event_synchronize",
        EngramCuda.engram_cuda_event_synchronize(model.device(), event));
  }

  private void lookup(int layer, int count, CudaStream side) {
    LayerRows to = rows.get(layer);
    int type = Plans.type(rowType);
    if (to.staging().isEmpty()) {
      DeviceTable table = model.layers().get(layer).table();
      table.gather(side, idsOf(layer, count), count * columns(), to.rows(), type);
    } else {
      to.staging().getFirst().gather(count, side, to.rows(), type);
    }
    side.record(to.ready());
  }

  private void keep(int layer, int count, CudaStream side) {
    model.layers().get(layer).table().keep(side, idsOf(layer, count), count * columns());
  }

  private long columns() {
    return model.model().config().columns();
  }

  /** The row ids of a layer among those of the batch. */
  private MemorySegment idsOf(int layer, int count) {
    return MemorySegment.ofAddress(rowIds.address() + 8L * layer * count * columns());
  }

  /**
   * Runs a layer on the hidden states of the tokens, in place, when its rows are there.
   *
   * @throws IllegalStateException if nothing was prefetched, that has failed, or something is
   *     closed
   * @throws IllegalArgumentException if the layer has no Engram or the stream is another device's
   */
  public synchronized void apply(int layer, CudaStream stream, CudaHidden hidden) {
    await(layer, stream);
    project(layer, stream);
    gate(layer, stream, hidden);
    release(layer, stream);
  }

  /** Lets what is queued on a stream from now on wait for a layer's rows. */
  public synchronized void await(int layer, CudaStream stream) {
    requireReady(stream);
    stream.await(rowsOf(layer).ready());
  }

  /** Queues the projection of a layer's rows; made for few tokens. */
  public synchronized void project(int layer, CudaStream stream) {
    requireReady(stream);
    DeviceWeights.Parts parts = model.layers().get(indexOf(layer)).projection();
    parts.project(
        stream,
        rowsOf(layer).rows(),
        Plans.type(rowType),
        tokens,
        0,
        parts.width(),
        kv,
        parts.width());
  }

  /** Queues the gate of a layer behind {@link #project}. */
  public synchronized void gate(int layer, CudaStream stream, CudaHidden hidden) {
    gate(layer, stream, kv, Dtype.F32, hidden);
  }

  /**
   * Queues the gate of a layer on key and value that the engine projected.
   *
   * @param kvData device pointer to [tokens, (branches + 1) * hiddenSize]
   * @param kvType F32 or BF16
   */
  public synchronized void gate(
      int layer, CudaStream stream, MemorySegment kvData, Dtype kvType, CudaHidden hidden) {
    requireReady(stream);
    if (kvType != Dtype.F32 && kvType != Dtype.BF16) {
      throw new IllegalArgumentException("key and value are F32 or BF16, not " + kvType);
    }
    DeviceWeights.Gate gate = model.layers().get(indexOf(layer)).gate();
    gate.run(stream, kvData, Plans.type(kvType), hidden, mask, tokens, gates, MemorySegment.NULL);
  }

  /**
   * Tells that what is queued on a stream until now is the last of a layer: its rows, and the mask
   * that the gate reads, may then be overwritten. Not before the gate.
   */
  public synchronized void release(int layer, CudaStream stream) {
    requireReady(stream);
    stream.record(rowsOf(layer).released());
  }

  /**
   * Returns the device pointer to a layer's rows, [tokens, columns * headDim] of the options' type,
   * for an engine that projects them itself between {@link #await} and {@link #release}.
   */
  public synchronized MemorySegment rows(int layer) {
    return rowsOf(layer).rows();
  }

  /** Returns the device pointer to key and value of the last layer projected, float32. */
  public MemorySegment keyValue() {
    requireOpen();
    return kv;
  }

  /** Returns the device pointer to the last layer's gates, float32 [tokens, branches]. */
  public MemorySegment gates() {
    requireOpen();
    return gates;
  }

  /** Returns the number of tokens of the last batch. */
  public int tokens() {
    return tokens;
  }

  private void requireReady(CudaStream stream) {
    requireOpen();
    if (!prefetched) {
      throw new IllegalStateException("nothing was prefetched, or prefetching has failed");
    }
    if (stream.device() != model.device()) {
      throw new IllegalArgumentException(
          "the stream is of device " + stream.device() + ", but the model on " + model.device());
    }
  }

  private int indexOf(int layer) {
    for (int i = 0; i < model.layers().size(); i++) {
      if (model.layers().get(i).layer().id() == layer) {
        return i;
      }
    }
    throw new IllegalArgumentException(
        "layer "
            + layer
            + " has no Engram; those that have are "
            + model.model().config().layerIds());
  }

  private LayerRows rowsOf(int layer) {
    requireOpen();
    return rows.get(indexOf(layer));
  }

  private void requireOpen() {
    if (closed) {
      throw new IllegalStateException("the step is closed");
    }
    model.requireOpen();
  }

  /** Frees its memory when what {@link #release} was told of, and what is prefetched, is done. */
  @Override
  public synchronized void close() {
    if (closed) {
      return;
    }
    closed = true;
    model.forget(this);
    List<Runnable> ends = new ArrayList<>();
    ends.add(() -> awaitOnHost(sent));
    ends.add(() -> awaitOnHost(done));
    for (LayerRows each : rows) {
      ends.add(() -> awaitOnHost(each.ready()));
      ends.add(() -> awaitOnHost(each.released()));
    }
    ends.add(memory::close);
    DeviceMemory.each(ends);
  }
}
