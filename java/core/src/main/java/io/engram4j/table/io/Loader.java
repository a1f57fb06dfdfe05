package io.engram4j.table.io;

import io.engram4j.table.TableOptions;
import io.engram4j.work.Parallel;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.List;

/** Reads a whole table into memory, in parts, by several threads. */
final class Loader {
  private final TableFile file;
  private final TableOptions options;
  private final int chunkRows;

  Loader(TableFile file, TableOptions options) {
    this.file = file;
    this.options = options;
    this.chunkRows = PackedFile.chunkRows(file.rowBytes());
  }

  /** Fills all copies; the file is read once. */
  void load(List<MemorySegment> copies) throws IOException {
    long chunks = PackedFile.chunks(file.rows(), chunkRows);
    Parallel.run("load", options.threads(), chunks, () -> new Worker(copies));
  }

  private final class Worker implements Parallel.Worker {
    private final List<MemorySegment> copies;
    private final BulkReader reader = new BulkReader(file, chunkRows);

    Worker(List<MemorySegment> copies) throws IOException {
      this.copies = copies;
    }

    @Override
    public void part(long chunk) throws IOException {
      long first = chunk * chunkRows;
      int count = (int) Math.min(chunkRows, file.rows() - first);
      long at = first * file.rowBytes();
      long bytes = (long) count * file.rowBytes();
      MemorySegment rows = copies.getFirst().asSlice(at, bytes);
      reader.read(first, count, rows);
      for (MemorySegment copy : copies.subList(1, copies.size())) {
        copy.asSlice(at, bytes).copyFrom(rows);
      }
      options.progress().accept(bytes);
    }

    @Override
    public void close() throws IOException {
      reader.close();
    }
  }
}
