package io.engram4j.rivals;

import ai.djl.Device;
import ai.djl.engine.Engine;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.ndarray.types.SparseFormat;
import ai.djl.pytorch.engine.PtNDManager;
import ai.djl.pytorch.jni.JniUtils;
import io.engram4j.bench.ratio.Rival;
import io.engram4j.format.E4m3;
import io.engram4j.format.E8m0;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.util.Optional;

/**
 * Hash, gather and gate by PyTorch through DJL, on one thread, without copies of the table: as two
 * steps, since the projection lies between the rows and the gate. DJL knows no fp8, so codes are
 * looked up.
 */
abstract class PyTorch implements Rival {
  static {
    System.setProperty("ai.djl.pytorch.num_threads", "1");
    System.setProperty("ai.djl.pytorch.num_interop_threads", "1");
  }

  private final String variant;
  final PtNDManager manager;
  final NDArray codes;
  final NDArray scales;

  PyTorch(String variant) {
    this.variant = variant;
    this.manager = (PtNDManager) NDManager.newBaseManager("PyTorch");
    float[] widened = new float[256];
    float[] powers = new float[256];
    for (int code = 0; code < 256; code++) {
      widened[code] = E4m3.toFloat((byte) code);
      powers[code] = E8m0.toFloat((byte) code);
    }
    this.codes = manager.create(widened);
    this.scales = manager.create(powers);
  }

  @Override
  public String name() {
    return "PyTorch " + Engine.getEngine("PyTorch").getVersion() + variant;
  }

  /** An array over memory of the caller's; nothing is copied. */
  final NDArray over(MemorySegment memory, DataType type, long... shape) {
    long most = Math.min(memory.byteSize(), Integer.MAX_VALUE - 8); // only the address is used
    ByteBuffer buffer = memory.asSlice(0, most).asByteBuffer();
    return JniUtils.createNdFromByteBuffer(
        manager, buffer, new Shape(shape), type, SparseFormat.DENSE, Device.cpu());
  }

  /** A layer: numbers of the hash, and arrays. */
  final class Arrays {
    final WindowHash hash;
    final NDArray multipliersArray;
    final NDArray primesArray;
    final NDArray offsetsArray;
    final NDArray table;
    final NDArray kv;
    final NDArray stream;
    final NDArray product;

    Arrays(Layer layer) {
      this.hash = new WindowHash(layer);
      this.multipliersArray = manager.create(hash.multipliers);
      this.primesArray = manager.create(hash.primes, new Shape(1, 3, 8));
      this.offsetsArray = manager.create(hash.offsets, new Shape(1, 3, 8));
      this.table = over(layer.table(), DataType.UINT8, layer.table().byteSize() / 264, 264);
      this.kv = over(layer.kv(), DataType.FLOAT32, layer.tokens(), 5, 5120);
      this.stream = over(layer.stream(), DataType.FLOAT32, layer.tokens(), 4, 5120);
      this.product = over(layer.product(), DataType.FLOAT32, 4, 5120);
    }
  }

  /**
   * Returns the rows of windows, float32 [tokens, 6144].
   *
   * @param windows [tokens, 4]
   * @param own owner of what is made
   */
  abstract NDArray rows(long[] windows, Arrays layer, NDManager own);

  /** Updates the stream. */
  abstract void gate(Arrays layer, NDManager own);

  @Override
  public Optional<LayerRun> layer(Layer layer) {
    return Optional.of(new Run(layer));
  }

  private final class Run implements LayerRun {
    private final MemorySegment windows;
    private final Arrays arrays;
    private final long[] ids;
    private boolean keep = true; // the first run's
    private float[] rows = {};

    Run(Layer layer) {
      this.windows = layer.windows();
      this.arrays = new Arrays(layer);
      this.ids = new long[4 * layer.tokens()];
    }

    @Override
    public void run() {
      for (int i = 0; i < ids.length; i++) {
        ids[i] = windows.getAtIndex(ValueLayout.JAVA_INT, i);
      }
      try (NDManager own = manager.newSubManager()) {
        NDArray out = PyTorch.this.rows(ids, arrays, own);
        if (keep) {
          rows = out.toFloatArray();
          keep = false;
        }
        gate(arrays, own);
      }
    }

    @Override
    public float[] rows() {
      return rows;
    }
  }

  @Override
  public void close() {
    manager.close();
  }
}
