package io.engram4j.train;

import io.engram4j.hf.SafetensorsFile;
import io.engram4j.hf.SafetensorsWriter;
import io.engram4j.hf.SafetensorsWriter.Declaration;
import io.engram4j.hf.TensorInfo;
import io.engram4j.host.CheckedFile;
import io.engram4j.model.Dtype;
import io.engram4j.train.model.Decoder;
import io.engram4j.train.model.Parameters;
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
 */
final class Checkpoint {
  static final String NAME = "checkpoint.bin";
  private static final String MAGIC = "ENGRCKP1";
  private static final List<String> PARTS = List.of("value.", "first.", "second.");

  private final Path directory;
  private final Decoder decoder;
  private final AdamW optimizer;
  private final String what;

  Checkpoint(Path directory, Decoder decoder, AdamW optimizer, String options) {
    this.directory = directory;
    this.decoder = decoder;
    this.optimizer = optimizer;
    this.what = decoder.shape() + ", " + options;
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
    for (TrainableTable table : decoder.tables()) {
      table.finish();
    }
    long before = step(directory);
    if (before == step) {
      return; // nothing happened since
    }
    for (TrainableTable table : decoder.tables()) {
      table.prepare(step);
    }
    writeDense(dense(step));
    byte[] text = what.getBytes(StandardCharsets.UTF_8);
    ByteBuffer bytes = CheckedFile.begin(MAGIC, 12 + text.length);
    CheckedFile.write(directory.resolve(NAME), bytes.putLong(step).putInt(text.length).put(text));
    for (TrainableTable table : decoder.tables()) {
      table.commit(step);
    }
    if (before >= 0) {
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
    Path file = directory.resolve(NAME);
    ByteBuffer bytes = CheckedFile.read(file, MAGIC, 12, "checkpoint");
    long step = bytes.getLong();
    byte[] text = new byte[Math.clamp(bytes.getInt(), 0, bytes.remaining())];
    bytes.get(text);
    String held = new String(text, StandardCharsets.UTF_8);
    if (!held.equals(what)) {
      throw new IOException(file + " is of " + held + ", not of " + what);
    }
    SafetensorsFile tensors = SafetensorsFile.open(dense(step));
    try (Arena arena = Arena.ofConfined()) {
      for (int i = 0; i < PARTS.size(); i++) {
        for (Parameters.Tensor tensor : decoder.parameters().tensors()) {
          TensorInfo info = tensors.tensors().get(PARTS.get(i) + tensor.name());
          if (info == null
              || !info.shape().equals(List.of((long) tensor.rows(), (long) tensor.columns()))) {
            throw new IOException(
                dense(step)
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
    return step;
  }
}
