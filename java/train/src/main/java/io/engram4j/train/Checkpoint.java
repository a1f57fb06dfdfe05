package io.engram4j.train;

import io.engram4j.hf.SafetensorsFile;
import io.engram4j.hf.SafetensorsWriter;
import io.engram4j.hf.SafetensorsWriter.Declaration;
import io.engram4j.hf.TensorInfo;
import io.engram4j.host.CheckedFile;
import io.engram4j.model.Dtype;
import io.engram4j.train.model.Decoder;
import io.engram4j.train.model.Parameters;
import io.engram4j.train.ranks.Reduction;
import io.engram4j.train.table.TrainableTable;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A directory from which training goes on to the same bits: {@code checkpoint.bin} says which step
 * counts, {@code dense-STEP.safetensors} has the dense parameters and Adam's moments, and the
 * tables lie in files of their own.
 *
 * <p>Order: journals of the tables, dense file, {@code checkpoint.bin} by rename, by which the step
 * counts; then the journals move into the tables. Dying before the rename leaves the step before,
 * after it this one.
 *
 * <p>Ranks have a directory each. None renames before all have journals and dense files on disk, so
 * that where one counts a step, all others can.
 */
final class Checkpoint {
  static final String NAME = "checkpoint.bin";
  private static final String MAGIC = "ENGRCKP1";
  private static final List<String> PARTS = List.of("value.", "first.", "second.");

  private final Path directory;
  private final Decoder decoder;
  private final AdamW optimizer;
  private final String what;
  private final Reduction reduction;

  Checkpoint(Path directory, Decoder decoder, AdamW optimizer, String what, Reduction reduction) {
    this.directory = directory;
    this.decoder = decoder;
    this.optimizer = optimizer;
    this.what = what;
    this.reduction = reduction;
  }

  /** Returns the step that counts in a directory, -1 where none does. */
  static long step(Path directory) throws IOException {
    Path file = directory.resolve(NAME);
    return Files.exists(file) ? CheckedFile.read(file, MAGIC, 12, "checkpoint").getLong() : -1;
  }

  private Path dense(long step) {
    return directory.resolve("dense-" + step + ".safetensors");
  }

  void save(long step) throws IOException {
    long last = reduction.max(step(directory));
    together(() -> advance(last));
    if (last == step) {
      return; // nothing happened since
    }
    together(() -> {
      for (TrainableTable table : decoder.tables()) {
        table.prepare(step);
      }
      writeDense(dense(step));
    });
    together(() -> advance(step));
  }

  /** A part of a checkpoint. */
  private interface Part {
    void run() throws IOException;
  }

  /** Runs a part on all ranks, and fails on all if it fails on one. */
  private void together(Part part) throws IOException {
    Throwable failure = null;
    try {
      part.run();
    } catch (Throwable e) {
      failure = e;
    }
    try {
      reduction.requireNone(failure);
    } catch (IllegalStateException e) {
      if (failure instanceof IOException own) {
        throw own;
      }
      throw new IOException("the checkpoint in " + directory + " failed", e);
    }
  }

  /** Lets a step count whose parts are on all ranks' disks, if it does not yet. */
  private void advance(long step) throws IOException {
    long before = step(directory);
    if (before < step) {
      byte[] text = what.getBytes(StandardCharsets.UTF_8);
      ByteBuffer bytes = CheckedFile.begin(MAGIC, 12 + text.length);
      CheckedFile.write(directory.resolve(NAME), bytes.putLong(step).putInt(text.length).put(text));
      for (TrainableTable table : decoder.tables()) {
        table.commit(step);
      }
    }
    for (TrainableTable table : decoder.tables()) {
      table.finish();
    }
    if (before >= 0 && before < step) {
      Files.deleteIfExists(dense(before));
    }
  }

  private float[] part(int index) {
    return switch (index) {
      case 0 -> decoder.parameters().values();
      case 1 -> optimizer.first();
      default -> optimizer.second();
    };
  }

  private void writeDense(Path file) throws IOException {
    Files.deleteIfExists(file); // of a run that died before it counted
    List<Declaration> declarations = new ArrayList<>();
    for (String part : PARTS) {
      for (Parameters.Tensor tensor : decoder.parameters().tensors()) {
        declarations.add(
            Declaration.of(part + tensor.name(), Dtype.F32, tensor.rows(), tensor.columns()));
      }
    }
    try (SafetensorsWriter writer = new SafetensorsWriter(file, declarations)) {
      for (int i = 0; i < PARTS.size(); i++) {
        for (Parameters.Tensor tensor : decoder.parameters().tensors()) {
          ByteBuffer bytes = ByteBuffer.allocate(4 * tensor.size()).order(ByteOrder.LITTLE_ENDIAN);
          bytes.asFloatBuffer().put(part(i), tensor.at(), tensor.size());
          writer.write(bytes);
        }
      }
    } catch (IOException e) {
      Files.deleteIfExists(file);
      throw e;
    }
  }

  /** Reads the dense parameters and moments; tables were opened with the step. */
  long load() throws IOException {
    long last = reduction.max(step(directory));
    if (last < 0) {
      throw new IOException(directory + " has no checkpoint");
    }
    together(() -> {
      requireSame();
      read(dense(last));
      advance(last);
    });
    return last;
  }

  private void requireSame() throws IOException {
    Path file = directory.resolve(NAME);
    if (!Files.exists(file)) {
      return; // of a rank that died as its first checkpoint began to count
    }
    ByteBuffer bytes = CheckedFile.read(file, MAGIC, 12, "checkpoint");
    bytes.getLong(); // the step
    byte[] text = new byte[Math.clamp(bytes.getInt(), 0, bytes.remaining())];
    bytes.get(text);
    String held = new String(text, StandardCharsets.UTF_8);
    if (!held.equals(what)) {
      throw new IOException(file + " is of " + held + ", not of " + what);
    }
  }

  private void read(Path file) throws IOException {
    SafetensorsFile tensors = SafetensorsFile.open(file);
    try (Arena arena = Arena.ofConfined()) {
      for (int i = 0; i < PARTS.size(); i++) {
        for (Parameters.Tensor tensor : decoder.parameters().tensors()) {
          TensorInfo info = tensors.tensors().get(PARTS.get(i) + tensor.name());
          if (info == null
              || !info.shape().equals(List.of((long) tensor.rows(), (long) tensor.columns()))) {
            throw new IOException(
                file
                    + " has no "
                    + PARTS.get(i)
                    + tensor.name()
                    + " of "
                    + tensor.rows()
                    + " x "
                    + tensor.columns());
          }
          MemorySegment data = SafetensorsFile.read(info, arena);
          MemorySegment.copy(
              data, ValueLayout.JAVA_FLOAT_UNALIGNED, 0, part(i), tensor.at(), tensor.size());
        }
      }
    }
  }
}
