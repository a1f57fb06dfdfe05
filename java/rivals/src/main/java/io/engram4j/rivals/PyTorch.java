package io.engram4j.rivals;

import ai.djl.Device;
import ai.djl.Model;
import ai.djl.engine.Engine;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.ndarray.types.SparseFormat;
import ai.djl.pytorch.engine.PtNDManager;
import ai.djl.pytorch.jni.JniUtils;
import ai.djl.training.ParameterStore;
import io.engram4j.bench.ratio.Rival;
import io.engram4j.format.E4m3;
import io.engram4j.format.E8m0;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;
import java.util.Optional;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/**
 * Hash, gather and gate as a TorchScript module, through DJL, on one thread, without copies of the
 * table: once with the gate as the specification writes it, once with as few temporaries as
 * somebody finds who knows PyTorch well. DJL knows no fp8, so codes are looked up.
 */
public abstract class PyTorch implements Rival {
  /** As the specification writes it. */
  public static final class Plain extends PyTorch {
    /** Made by the service loader. */
    public Plain() {
      super("plain.py", "");
    }
  }

  /** With few temporaries. */
  public static final class Tuned extends PyTorch {
    /** Made by the service loader. */
    public Tuned() {
      super("tuned.py", ", tuned");
    }
  }

  private final String variant;
  private final Model model;
  private final PtNDManager manager;
  private final NDArray codes;
  private final NDArray scales;

  private PyTorch(String source, String variant) {
    this.variant = variant;
    System.setProperty("ai.djl.pytorch.num_threads", "1");
    System.setProperty("ai.djl.pytorch.num_interop_threads", "1");
    this.model = Model.newInstance("forward", "PyTorch");
    try {
      Path directory = Files.createTempDirectory("engram-pytorch");
      Path file = directory.resolve("forward.pt");
      try (OutputStream out = Files.newOutputStream(file)) {
        archive(out, source);
      }
      model.load(directory, "forward");
      Files.delete(file);
      Files.delete(directory);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (ai.djl.MalformedModelException e) {
      throw new IllegalStateException(e);
    }
    this.manager = (PtNDManager) model.getNDManager();
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

  /** What {@code torch.jit.save} writes, for a module without parameters. */
  private static void archive(OutputStream out, String source) throws IOException {
    try (ZipOutputStream zip = new ZipOutputStream(out);
        InputStream rows = resource("rows.py");
        InputStream gate = resource(source)) {
      // pickled: an object of __torch__.Forward with {training: False}, and an empty tuple
      String object = "\u0080\u0002c__torch__\nForward\n)\u0081}(X\b\0\0\0training\u0089ub.";
      entry(zip, "data.pkl", object.getBytes(StandardCharsets.ISO_8859_1));
      String code = text(rows) + text(gate);
      entry(zip, "code/__torch__.py", code.getBytes(StandardCharsets.US_ASCII));
      entry(zip, "constants.pkl", new byte[] {(byte) 0x80, 2, ')', '.'});
      entry(zip, "version", "3\n".getBytes(StandardCharsets.US_ASCII));
    }
  }

  private static InputStream resource(String name) {
    return Objects.requireNonNull(PyTorch.class.getResourceAsStream(name), name);
  }

  private static String text(InputStream in) throws IOException {
    return new String(in.readAllBytes(), StandardCharsets.US_ASCII);
  }

  private static void entry(ZipOutputStream zip, String name, byte[] bytes) throws IOException {
    ZipEntry entry = new ZipEntry("forward/" + name);
    entry.setMethod(ZipEntry.STORED);
    entry.setSize(bytes.length);
    CRC32 sum = new CRC32();
    sum.update(bytes);
    entry.setCrc(sum.getValue());
    zip.putNextEntry(entry);
    zip.write(bytes);
    zip.closeEntry();
  }

  /** An array over memory of the caller's; nothing is copied. */
  private NDArray over(MemorySegment memory, DataType type, long... shape) {
    long most = Math.min(memory.byteSize(), Integer.MAX_VALUE - 8); // only the address is used
    ByteBuffer buffer = memory.asSlice(0, most).asByteBuffer();
    return JniUtils.createNdFromByteBuffer(
        manager, buffer, new Shape(shape), type, SparseFormat.DENSE, Device.cpu());
  }

  private NDArray longs(MemorySegment memory, long... shape) {
    int count = (int) new Shape(shape).size();
    long[] values = new long[count];
    MemorySegment.copy(memory, ValueLayout.JAVA_LONG, 0, values, 0, count);
    return manager.create(values, new Shape(shape));
  }

  @Override
  public Optional<LayerRun> layer(Layer layer) {
    return Optional.of(new Run(layer));
  }

  private final class Run implements LayerRun {
    private final int tokens;
    private final MemorySegment windows;
    private final NDArray multipliers;
    private final NDArray primes;
    private final NDArray offsets;
    private final NDArray table;
    private final NDArray kv;
    private final NDArray stream;
    private final NDArray product;
    private final long[] ids;
    private boolean keep;
    private float[] rows = {};

    Run(Layer layer) {
      this.tokens = layer.tokens();
      this.windows = layer.windows();
      this.multipliers = longs(layer.multipliers(), 4);
      this.primes = longs(layer.primes(), 1, 3, 8);
      this.offsets = longs(layer.offsets(), 1, 3, 8);
      this.table = over(layer.table(), DataType.UINT8, layer.table().byteSize() / 264, 264);
      this.kv = over(layer.kv(), DataType.FLOAT32, tokens, 5, 5120);
      this.stream = over(layer.stream(), DataType.FLOAT32, tokens, 4, 5120);
      this.product = over(layer.product(), DataType.FLOAT32, 4, 5120);
      this.ids = new long[4 * tokens];
      this.keep = true; // the first run's
    }

    @Override
    public void run() {
      for (int i = 0; i < ids.length; i++) {
        ids[i] = windows.getAtIndex(ValueLayout.JAVA_INT, i);
      }
      try (NDManager own = manager.newSubManager()) {
        NDArray in = own.create(ids, new Shape(tokens, 4));
        NDList all =
            new NDList(in, multipliers, primes, offsets, table, codes, scales, kv, stream, product);
        NDList out = model.getBlock().forward(new ParameterStore(own, false), all, false);
        if (keep) {
          rows = out.singletonOrThrow().toFloatArray();
          keep = false;
        }
        out.close();
      }
    }

    @Override
    public float[] rows() {
      return rows;
    }
  }

  @Override
  public void close() {
    model.close();
  }
}
