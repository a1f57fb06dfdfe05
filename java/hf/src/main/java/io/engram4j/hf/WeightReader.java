package io.engram4j.hf;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import java.io.EOFException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.FileSystems;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Reads a tensor when it is first wanted, by whatever thread wants it: by a file that an interrupt
 * does not close, into memory that is taken once, however often reading fails. For one thread at a
 * time.
 */
final class WeightReader implements Supplier<MemorySegment> {
  private static final int PIECE = 1 << 20;

  private final TensorInfo tensor;
  private final Arena arena;
  private @Nullable MemorySegment memory;

  WeightReader(TensorInfo tensor, Arena arena) {
    this.tensor = tensor;
    this.arena = arena;
  }

  @Override
  public MemorySegment get() {
    try {
      if (tensor.file().getFileSystem() != FileSystems.getDefault()) {
        return SafetensorsFile.read(tensor, arena);
      }
      MemorySegment bytes = memory;
      if (bytes == null) {
        bytes = arena.allocate(tensor.bytes(), 64);
        memory = bytes;
      }
      read(bytes);
      return bytes;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void read(MemorySegment bytes) throws IOException {
    try (RandomAccessFile file = new RandomAccessFile(tensor.file().toFile(), "r")) {
      byte[] piece = new byte[PIECE];
      file.seek(tensor.offset());
      for (long at = 0; at < tensor.bytes(); at += PIECE) {
        int count = (int) Math.min(PIECE, tensor.bytes() - at);
        file.readFully(piece, 0, count);
        MemorySegment.copy(piece, 0, bytes, JAVA_BYTE, at, count);
      }
    } catch (EOFException e) {
      throw new IOException(tensor.file() + " ends within tensor " + tensor.name(), e);
    }
  }
}
