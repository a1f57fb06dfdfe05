package io.engram4j.cuda;

import io.engram4j.EngramBatch;
import io.engram4j.bindings.cuda.EngramCuda;
import io.engram4j.model.Dtype;
import io.engram4j.run.Owner;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * One step of a model on a device: {@link #prefetch} as soon as the tokens are known, then, layer
 * by layer, {@link #apply} on the engine's stream. Nothing is allocated on the device, and nothing
 * waits but the device's streams for each other.
 *
 * <p>{@code apply} is {@link #await}, {@link #project}, {@link #gate} and {@link #release}. An
 * engine with a matrix product of its own projects {@link #rows} itself. For a CUDA graph capture
 * {@code project} and {@code gate}, whose addresses stay the same, and keep {@code await} and
 * {@code release}, which order it with the lookups, outside; the number of tokens is part of what
 * is captured. Layers with a convolution cannot be captured: what it remembers is on the host.
 *
 * <p>Layers of a step share memory for key and value: run them one after the other on one stream,
 * or on streams that wait for each other. One owner at a time, and a call while another is under
 * way ends in a {@link java.util.ConcurrentModificationException}; another thread may close it.
 */
public final class CudaStep implements AutoCloseable {
  private final Owner owner = new Owner("the step"); // and the monitor is for who closes it
  private final CudaModel model;
  private final DeviceMemory memory;
  private final int maxTokens;
  private final MemorySegment hostWindows;
  private final MemorySegment hostMask;
  private final CudaPass.Shared shared;
  private final MemorySegment sent; // event: the host's memory may be written again
  private final MemorySegment done; // event: the lookups have read all they read
  private final List<CudaPass> passes = new ArrayList<>();
  private final Runnable fetching = this::fetch;
  private @Nullable EngramBatch fetched; // while it is
  private boolean prefetched;
  private boolean replacing; // the last batch has rows of an overlay
  private boolean closed;

  private CudaStep(CudaModel model, DeviceMemory memory, int maxTokens) {
    this.model = model;
    this.memory = memory;
    this.maxTokens = maxTokens;
    int maxNgram = model.model().config().maxNgram();
    this.hostWindows = memory.pinned(4L * maxTokens * maxNgram);
    this.hostMask = memory.pinned(maxTokens);
    this.shared = new CudaPass.Shared(model, maxTokens, memory);
    this.sent = memory.event();
    this.done = memory.event();
    for (int layer = 0; layer < model.layers().size(); layer++) {
      passes.add(new CudaPass(model, layer, shared, maxTokens, memory));
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
   * @throws IllegalStateException if something is closed
   */
  public void prefetch(EngramBatch batch) {
    owner.enter();
    try {
      fetched = batch;
      batch.whileHeld(fetching);
    } finally {
      fetched = null;
      owner.busy = false;
    }
  }

  private synchronized void fetch() {
    EngramBatch batch = Objects.requireNonNull(fetched);
    CudaPrefetchEvent event = new CudaPrefetchEvent();
    event.begin();
    requireOpen();
    if (batch.tokens() > maxTokens) {
      throw new IllegalArgumentException(
          "the batch has " + batch.tokens() + " tokens, but the step at most " + maxTokens);
    }
    model.model().requireOwn(batch);
    MemorySegment from = batch.windows();
    awaitOnHost(sent);
    if (replacing) { // rows of an overlay are read last
      awaitOnHost(done);
    }
    prefetched = false; // until all is queued
    int count = batch.tokens();
    MemorySegment.copy(from, 0, hostWindows, 0, from.byteSize());
    MemorySegment.copy(batch.mask(), 0, hostMask, 0, count);
    replacing = false;
    for (CudaPass pass : passes) {
      replacing |= pass.read(batch.parts());
    }
    shared.tokens = count;
    CudaStream side = model.side();
    synchronized (side) { // so that lookups of several steps do not mix
      try {
        passes.forEach(pass -> side.await(pass.released()));
        side.copy(shared.windows, hostWindows, from.byteSize());
        side.copy(shared.mask, hostMask, count);
        passes.forEach(CudaPass::fetchRows);
      } finally {
        side.record(sent); // what was queued reads the host's memory, whatever happened after it
      }
      try {
        for (CudaPass pass : passes) {
          pass.gatherRows();
          side.record(pass.ready());
        }
        passes.forEach(CudaPass::keep); // when the rows of all layers are on their way
      } finally {
        side.record(done);
      }
    }
    prefetched = true;
    model.countTokens(count);
    event.device = model.device();
    event.tokens = count;
    event.stagedLayers = (int) passes.stream().filter(CudaPass::isStaged).count();
    event.commit();
  }

  private void awaitOnHost(MemorySegment event) {
    CudaLibrary.check(
        "engram_cuda_event_synchronize",
        EngramCuda.engram_cuda_event_synchronize(model.device(), event));
  }

  /**
   * Runs a layer on the hidden states of the tokens, in place, when its rows are there.
   *
   * @throws IllegalStateException if nothing was prefetched, that has failed, or something is
   *     closed
   * @throws IllegalArgumentException if the layer has no Engram or the stream is another device's
   */
  public void apply(int layer, CudaStream stream, CudaHidden hidden) {
    owner.enter();
    try {
      run(layer, stream, hidden);
    } finally {
      owner.busy = false;
    }
  }

  private synchronized void run(int layer, CudaStream stream, CudaHidden hidden) {
    awaitRows(layer, stream);
    projectRows(layer, stream);
    updateStream(layer, stream, shared.kv, Dtype.F32, hidden);
    releaseRows(layer, stream);
  }

  /** Lets what is queued on a stream from now on wait for a layer's rows. */
  public void await(int layer, CudaStream stream) {
    owner.enter();
    try {
      awaitRows(layer, stream);
    } finally {
      owner.busy = false;
    }
  }

  private synchronized void awaitRows(int layer, CudaStream stream) {
    requireReady(stream);
    stream.await(passOf(layer).ready());
  }

  /** Queues the projection of a layer's rows; made for few tokens. */
  public void project(int layer, CudaStream stream) {
    owner.enter();
    try {
      projectRows(layer, stream);
    } finally {
      owner.busy = false;
    }
  }

  private synchronized void projectRows(int layer, CudaStream stream) {
    requireReady(stream);
    CudaPass pass = passOf(layer);
    pass.begin(stream, null, shared.kv, Dtype.F32);
    pass.projectRows();
  }

  /** Queues gate and convolution of a layer behind {@link #project}. */
  public void gate(int layer, CudaStream stream, CudaHidden hidden) {
    gate(layer, stream, shared.kv, Dtype.F32, hidden);
  }

  /**
   * Queues gate and convolution of a layer on key and value that the engine projected.
   *
   * @param kvData device pointer to [tokens, (branches + 1) * hiddenSize]
   * @param kvType F32 or BF16
   * @throws IllegalStateException if nothing was prefetched or something is closed; or if the layer
   *     has a convolution, and a sequence was truncated since or has not seen the tokens before
   */
  public void gate(
      int layer, CudaStream stream, MemorySegment kvData, Dtype kvType, CudaHidden hidden) {
    owner.enter();
    try {
      updateStream(layer, stream, kvData, kvType, hidden);
    } finally {
      owner.busy = false;
    }
  }

  private synchronized void updateStream(
      int layer, CudaStream stream, MemorySegment kvData, Dtype kvType, CudaHidden hidden) {
    requireReady(stream);
    if (kvType != Dtype.F32 && kvType != Dtype.BF16) {
      throw new IllegalArgumentException("key and value are F32 or BF16, not " + kvType);
    }
    CudaPass pass = passOf(layer);
    pass.begin(stream, hidden, kvData, kvType);
    pass.updateStream();
  }

  /**
   * Tells that what is queued on a stream until now is the last of a layer: its rows, and the mask
   * that the gate reads, may then be overwritten. Not before the gate.
   */
  public void release(int layer, CudaStream stream) {
    owner.enter();
    try {
      releaseRows(layer, stream);
    } finally {
      owner.busy = false;
    }
  }

  private synchronized void releaseRows(int layer, CudaStream stream) {
    requireReady(stream);
    stream.record(passOf(layer).released());
  }

  /**
   * Returns the device pointer to a layer's rows, [tokens, columns * headDim] of the options' type,
   * for an engine that projects them itself between {@link #await} and {@link #release}.
   */
  public synchronized MemorySegment rows(int layer) {
    return passOf(layer).rows();
  }

  /** Returns the device pointer to key and value of the last layer projected, float32. */
  public MemorySegment keyValue() {
    requireOpen();
    return shared.kv;
  }

  /** Returns the device pointer to the last layer's gates, float32 [tokens, branches]. */
  public MemorySegment gates() {
    requireOpen();
    return shared.gates;
  }

  /** Returns the number of tokens of the last batch. */
  public int tokens() {
    return shared.tokens;
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

  private CudaPass passOf(int layer) {
    requireOpen();
    return passes.get(indexOf(layer));
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
    for (CudaPass pass : passes) {
      ends.add(pass::settle);
      ends.add(() -> awaitOnHost(pass.ready()));
      ends.add(() -> awaitOnHost(pass.released()));
    }
    ends.add(memory::close);
    DeviceMemory.each(ends);
  }
}
