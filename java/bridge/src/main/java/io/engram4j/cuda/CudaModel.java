package io.engram4j.cuda;

import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.table.Table;
import io.engram4j.weights.ConvWeights;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.LongAdder;
import org.jspecify.annotations.Nullable;

/**
 * An open model's Engram layers on a GPU. Tables stay in the host's memory, which the device reads
 * row by row, or are copied into the device's; projections and gates lie in the device's. Work goes
 * to streams of the engine; {@link #newStep} makes what one step of the model needs.
 *
 * <p>Keeps the tables of the {@link EngramModel} until it is closed, even if the model is closed
 * before. Thread-safe; steps have one owner each.
 */
public final class CudaModel implements AutoCloseable {
  private final EngramModel model;
  private final CudaOptions options;
  private final DeviceMemory memory;
  private final EngramModel.Hold hold;
  private final CudaStream side;
  private final MemorySegment layouts;
  private final List<Layer> layers;
  private final Set<CudaStep> steps = ConcurrentHashMap.newKeySet();
  private final LongAdder lookups = new LongAdder();
  private volatile boolean closed;

  /** A layer's tensors within the device's reach. */
  record Layer(
      EngramLayer layer,
      DeviceTable table,
      DeviceWeights.Parts projection,
      DeviceWeights.Gate gate,
      DeviceWeights.@Nullable Conv conv) {}

  private CudaModel(
      EngramModel model, CudaOptions options, DeviceMemory memory, EngramModel.Hold hold) {
    this.model = model;
    this.options = options;
    this.memory = memory;
    this.hold = hold;
    this.side = memory.stream(options.gatherBlocks());
    List<EngramLayer> all = model.layers();
    this.layouts = DeviceWeights.layouts(all.stream().map(EngramLayer::layout).toList(), memory);
    List<Table> tables = all.stream().map(layer -> layer.weights().table()).toList();
    List<DeviceTable> held = DeviceTable.of(tables, options, memory, side);
    List<Layer> made = new ArrayList<>();
    for (int i = 0; i < all.size(); i++) {
      EngramLayer layer = all.get(i);
      ConvWeights conv = layer.weights().conv();
      made.add(
          new Layer(
              layer,
              held.get(i),
              DeviceWeights.Parts.of(layer.weights().projection(), memory),
              DeviceWeights.Gate.of(layer.weights().gate(), memory),
              conv == null ? null : DeviceWeights.Conv.of(conv, memory)));
    }
    this.layers = List.copyOf(made);
  }

  /**
   * Opens a model on a device. Takes as long as copying the projections there, and registering or
   * copying the tables.
   *
   * @throws IllegalStateException if there is no library, driver or device, the model is closed or
   *     has no tables, or the host's memory was asked for and cannot be registered; with the reason
   * @throws IllegalArgumentException if there is no such device, or the caches are too small
   * @throws CudaException if CUDA refuses, such as for want of memory; then nothing is left there
   */
  public static CudaModel open(EngramModel model, int device, CudaOptions options) {
    CudaDevice.of(device);
    EngramModel.Hold hold = model.hold();
    DeviceMemory memory = new DeviceMemory(device);
    try {
      return new CudaModel(model, options, memory, hold);
    } catch (RuntimeException | Error e) {
      try {
        memory.close();
      } catch (CudaException second) {
        e.addSuppressed(second);
      } finally {
        hold.close();
      }
      throw e;
    }
  }

  /**
   * Makes the device's memory for steps of up to so many tokens; nothing is allocated after that.
   * With two steps in turns the rows of one are fetched while the model runs the other.
   *
   * @throws IllegalArgumentException if that is not positive
   * @throws CudaException if the device has too little memory
   */
  public synchronized CudaStep newStep(int maxTokens) {
    requireOpen();
    if (maxTokens < 1) {
      throw new IllegalArgumentException("a step cannot have at most " + maxTokens + " tokens");
    }
    CudaStep step = CudaStep.of(this, maxTokens);
    steps.add(step);
    return step;
  }

  /** Returns the number of the device. */
  public int device() {
    return memory.device();
  }

  /** Returns how the model was opened. */
  public CudaOptions options() {
    return options;
  }

  /** Returns how many bytes of the device's memory the model holds, its steps not counted. */
  public long deviceBytes() {
    return memory.bytes();
  }

  /**
   * Returns from where rows are read and how often the caches had them, in the order of the
   * configuration. With caches it waits for the lookups that are under way.
   */
  public synchronized List<CudaStatistics> statistics() {
    requireOpen();
    List<CudaStatistics> all = new ArrayList<>();
    for (Layer layer : layers) {
      long rows = lookups.sum() * layer.layer().layout().columns();
      all.add(layer.table().statistics(layer.layer().id(), rows, side));
    }
    return all;
  }

  EngramModel model() {
    return model;
  }

  List<Layer> layers() {
    return layers;
  }

  MemorySegment layouts() {
    return layouts;
  }

  /** The stream on which all lookups queue, so that they do not compete with each other. */
  CudaStream side() {
    return side;
  }

  void countTokens(int tokens) {
    lookups.add(tokens);
  }

  void forget(CudaStep step) {
    steps.remove(step);
  }

  void requireOpen() {
    if (closed || !model.isOpen()) {
      throw new IllegalStateException(
          closed ? "the model on the device is closed" : "the model is closed");
    }
  }

  /**
   * Frees the device's memory, that of all steps too, when what is queued is done. Calls of other
   * threads end before, or find it closed.
   *
   * @throws CudaException if CUDA refuses, as when the device is lost; the tables are let go anyway
   */
  @Override
  public synchronized void close() {
    if (closed) {
      return;
    }
    closed = true;
    List<Runnable> ends = new ArrayList<>();
    steps.forEach(step -> ends.add(step::close));
    ends.add(side::synchronize);
    ends.add(memory::close);
    try {
      DeviceMemory.each(ends);
    } finally {
      hold.close();
    }
  }
}
