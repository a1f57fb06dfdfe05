package io.engram4j.rivals;

import ai.djl.Model;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import ai.djl.training.ParameterStore;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

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
  }

  /** With few temporaries. */
  public static final class Tuned extends TorchScript {
    /** Made by the service loader. */
    public Tuned() {
      super("tuned.py", ", TorchScript, tuned");
    }
  }

  private final Model rows;
  private final Model gate;

  private TorchScript(String gate, String variant) {
    super(variant);
    this.rows = module("rows.py");
    this.gate = module(gate);
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
