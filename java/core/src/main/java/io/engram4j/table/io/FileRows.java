package io.engram4j.table.io;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import io.engram4j.host.RegularFiles;
import io.engram4j.table.RowSource;
import io.engram4j.table.io.TableFile.Part;
import io.engram4j.table.io.TableFile.Region;
import java.io.Closeable;
import java.io.EOFException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.LockSupport;

/**
 * Rows read through the page cache, one by one, for backends that take no mapping. By files that an
 * interrupt does not close, each for one caller at a time; all are opened at once, since a path may
 * lead to another file later. Thread-safe; must not be closed while somebody reads.
 */
final class FileRows implements RowSource, Closeable {
  private static final int READERS = 4;
  private static final VarHandle TAKEN;

  static {
    try {
      TAKEN = MethodHandles.lookup().findVarHandle(Reader.class, "taken", boolean.class);
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  private final TableFile table;
  private final List<Part> parts;
  private final List<Path> files;
  private final List<Reader> readers = new ArrayList<>();
  private final LongAdder rowsRead = new LongAdder();

  /**
   * Opens the files.
   *
   * @throws IOException if one cannot be opened, or is shorter than its rows
   */
  FileRows(TableFile table) throws IOException {
    this.table = table;
    this.parts = table.reads();
    this.files = table.files();
    try {
      Reader first = new Reader();
      readers.add(first);
      for (Part part : parts) {
        for (Region region : part.regions()) {
          long size = first.of(region).length();
          table.requireSize(region.file(), size, region.end(part.rows()));
        }
      }
      for (int i = 1; i < READERS; i++) {
        readers.add(new Reader());
      }
    } catch (Throwable e) {
      close();
      throw e;
    }
  }

  /**
   * One caller's files. They are given back by a write to a field: a caller that ran out of stack
   * or heap must not leave the others without.
   */
  private final class Reader implements Closeable {
    private volatile boolean taken;
    private final Map<Path, RandomAccessFile> open = new HashMap<>();
    private final byte[] row = new byte[table.rowBytes()];

    Reader() throws IOException {
      try {
        for (Path file : files) {
          RegularFiles.requireOfSystem(file);
          open.put(file, new RandomAccessFile(file.toFile(), "r"));
        }
      } catch (Throwable e) {
        close();
        throw e;
      }
    }

    RandomAccessFile of(Region region) {
      return Objects.requireNonNull(open.get(region.file()));
    }

    byte[] read(long id) throws IOException {
      Part part = parts.get(TableFile.partOf(parts, id));
      int at = read(part.weight(), id - part.first(), 0, id);
      if (part.scale() != null) {
        at = read(part.scale(), id - part.first(), at, id);
      }
      if (part.bias() != null) {
        read(part.bias(), id - part.first(), at, id);
      }
      return row;
    }

    private int read(Region region, long own, int at, long id) throws IOException {
      RandomAccessFile file = of(region);
      file.seek(region.at(own));
      try {
        file.readFully(row, at, region.bytes());
      } catch (EOFException e) {
        throw new EOFException(
            region.file()
                + " ends at byte "
                + file.length()
                + ", before row "
                + id
                + " of "
                + table.name());
      }
      return at + region.bytes();
    }

    @Override
    public void close() throws IOException {
      for (RandomAccessFile file : open.values()) {
        file.close();
      }
    }
  }

  @Override
  public void read(MemorySegment rowIds, long count, MemorySegment rows) {
    try {
      Reader reader = take();
      try {
        for (long i = 0; i < count; i++) {
          long id = rowIds.getAtIndex(JAVA_LONG_UNALIGNED, i);
          if (id >= 0) {
            byte[] row = reader.read(id);
            MemorySegment.copy(row, 0, rows, JAVA_BYTE, i * row.length, row.length);
          }
        }
      } finally {
        reader.taken = false;
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    rowsRead.add(count);
  }

  /** Waits for files if all are in use: reads take no time worth breaking. */
  private Reader take() {
    boolean interrupted = false;
    while (true) {
      for (Reader reader : readers) {
        if (!reader.taken && TAKEN.compareAndSet(reader, false, true)) {
          if (interrupted) {
            Thread.currentThread().interrupt();
          }
          return reader;
        }
      }
      LockSupport.parkNanos(this, 20_000);
      interrupted |= Thread.interrupted();
    }
  }

  @Override
  public Statistics statistics() {
    long read = rowsRead.sum();
    return new Statistics(
        read, read * parts.getFirst().regions().size(), read * table.rowBytes(), 0, 0, 0, 0, 0, 0);
  }

  @Override
  public void close() throws IOException {
    for (Reader reader : readers) {
      reader.close();
    }
  }
}
