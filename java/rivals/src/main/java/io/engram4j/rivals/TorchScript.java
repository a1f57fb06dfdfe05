package io.engram4j.rivals;

import ai.djl.Model;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.training.ParameterStore;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;
import java.util.Optional;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.jspecify.annotations.Nullable;

/**
 * As TorchScript modules: once with the gate as docs/spec.md writes it, once with as few
 * temporaries as somebody finds who knows PyTorch well.
 */
public abstract class TorchScript extends PyTorch {
  /** As docs/spec.md writes it. */
  public static final class Plain extends TorchScript {
    /** Made by the service loader. */
    public Plain() {
      super("plain.py", ", TorchScript");
    }

    @Override
    public Optional<Runnable> ple(Ple ple) {
      return Optional.of(new PleRun(this, ple));
    }
  }

  /** With few temporaries. */
  public static final class Tuned extends TorchScript {
    private @Nullable NDArray narrow; // of the one matrix that is raced

    /** Made by the service loader. */
    public Tuned() {
      super("tuned.py", ", TorchScript, tuned");
    }

    @Override
    public String narrowType() {
      return "bf16";
    }

    @Override
    public Optional<Runnable> narrowProject(Project project) {
      return Optional.of(new LinearRun(this, project));
    }

    private NDArray narrow(Project project) {
      NDArray made = narrow;
      if (made == null) {
        NDArray wide =
            over(project.weight(), DataType.FLOAT32, project.outputs(), project.inputs());
        made = call(module("to_bf16.py"), manager, wide);
        narrow = made;
      }
      return made;
    }
  }

  private final Model rows;
  private final Model gate;

  private TorchScript(String gate, String variant) {
    super(variant);
    this.rows = module("rows.py");
    this.gate = module(gate);
  }

  /** One token of Qwen's layer, as docs/spec.md writes it. */
  private static final class PleRun implements Runnable {
    private final PyTorch torch;
    private final Model rows = module("ple_rows.py");
    private final Model block = module("ple_block.py");
    private final MemorySegment window;
    private final NDArray[] hash;
    private final NDArray[] layer;

    PleRun(PyTorch torch, Ple ple) {
      this.torch = torch;
      this.window = ple.window();
      Shape heads = new Shape(1, 2, 8);
      NDArray kv = torch.over(ple.kv(), DataType.FLOAT32, 5, 2560);
      this.hash =
          new NDArray[] {
            torch.manager.create(ple.multipliers()),
            torch.manager.create(ple.sizes(), heads),
            torch.manager.create(ple.offsets(), heads),
            // DJL's bridge ends the process on BFLOAT16; as many bits cost as much to widen
            torch.over(ple.table(), DataType.FLOAT16, ple.table().byteSize() / 320, 160)
          };
      Shape norm = new Shape(4, 2560);
      this.layer =
          new NDArray[] {
            kv.get(":4"),
            kv.get("4:"),
            torch.over(ple.stream(), DataType.FLOAT32, 4, 2560),
            torch.manager.create(ple.keyNorm(), norm),
            torch.manager.create(ple.queryNorm(), norm),
            torch.manager.create(ple.convNorm(), norm),
            torch.manager.create(ple.taps(), new Shape(4, 2560, 4)),
            torch.over(ple.state(), DataType.FLOAT32, 10, 4, 2560)
          };
    }

    @Override
    public void run() {
      long[] ids = new long[3];
      for (int i = 0; i < ids.length; i++) {
        ids[i] = window.getAtIndex(ValueLayout.JAVA_INT, 2 - i); // the newest first
      }
      try (NDManager own = torch.manager.newSubManager()) {
        NDArray windows = own.create(ids, new Shape(1, 3));
        call(rows, own, windows, hash[0], hash[1], hash[2], hash[3]);
        try (NDArray updated = call(block, own, layer)) {
          updated.detach(); // the stream itself, updated in place
        }
      }
    }
  }

  /** A projection with bf16 weights, which oneDNN multiplies in bf16 where the CPU can. */
  private static final class LinearRun implements Runnable {
    private final Tuned torch;
    private final Model linear = module("linear_bf16.py");
    private final NDArray in;
    private final NDArray weight; // whose type must not be asked for: DJL's bridge would end all
    private final MemorySegment out;
    private boolean keep = true; // the first run's

    LinearRun(Tuned torch, Project project) {
      this.torch = torch;
      this.in = torch.over(project.in(), DataType.FLOAT32, project.tokens(), project.inputs());
      this.weight = torch.narrow(project);
      this.out = project.out();
    }

    @Override
    public void run() {
      try (NDManager own = torch.manager.newSubManager()) {
        NDArray product = call(linear, own, in, weight);
        if (keep) {
          float[] values = product.toFloatArray();
          MemorySegment.copy(values, 0, out, ValueLayout.JAVA_FLOAT, 0, values.length);
          keep = false;
        }
      }
    }
  }

  private static Model module(String source) {
    Model module = Model.newInstance("forward", "PyTorch");
    try {
      Path directory = Files.createTempDirectory("engram-pytorch");
      Path file = directory.resolve("forward.pt");
      try (OutputStream out = Files.newOutputStream(file)) {
        archive(out, source);
      }
      module.load(directory, "forward");
      Files.delete(file);
      Files.delete(directory);
      return module;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (ai.djl.MalformedModelException e) {
      throw new IllegalStateException(e);
    }
  }

  /** What {@code torch.jit.save} writes, for a module without parameters. */
  private static void archive(OutputStream out, String source) throws IOException {
    try (ZipOutputStream zip = new ZipOutputStream(out);
        InputStream code =
            Objects.requireNonNull(TorchScript.class.getResourceAsStream(source), source)) {
      // pickled: an object of __torch__.Forward with {training: False}, and an empty tuple
      String object = "\u0080\u0002c__torch__\nForward\n)\u0081}(X\b\0\0\0training\u0089ub.";
      entry(zip, "data.pkl", object.getBytes(StandardCharsets.ISO_8859_1));
      entry(zip, "code/__torch__.py", code.readAllBytes());
      entry(zip, "constants.pkl", new byte[] {(byte) 0x80, 2, ')', '.'});
      entry(zip, "version", "3\n".getBytes(StandardCharsets.US_ASCII));
    }
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

  private static NDArray call(Model module, NDManager own, NDArray... inputs) {
    return module
        .getBlock()
        .forward(new ParameterStore(own, false), new NDList(inputs), false)
        .singletonOrThrow();
  }

  @Override
  NDArray rows(long[] windows, Arrays layer, NDManager own) {
    return call(
        rows,
        own,
        own.create(windows, new Shape(windows.length / 4, 4)),
        layer.multipliersArray,
        layer.primesArray,
        layer.offsetsArray,
        layer.table,
        codes,
        scales);
  }

  @Override
  void gate(Arrays layer, NDManager own) {
    try (NDArray updated = call(gate, own, layer.kv, layer.stream, layer.product)) {
      updated.detach(); // the stream itself, updated in place
    }
  }

  @Override
  public void close() {
    rows.close();
    gate.close();
    super.close();
  }
}
