package io.engram4j.table.io;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import io.engram4j.host.RegularFiles;
import io.engram4j.table.RowSource;
import io.engram4j.table.io.TableFile.Region;
import java.io.Closeable;
import java.io.EOFException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.List;
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
  private final List<Region> regions = new ArrayList<>();
  private final List<Reader> readers = new ArrayList<>();
  private final LongAdder rowsRead = new LongAdder();

  /**
   * Opens the files.
   *
   * @throws IOException if one cannot be opened, or is shorter than its rows
   */
  FileRows(TableFile table) throws IOException {
    this.table = table;
    Region weight = table.weight();
    Region scale = table.scale();
    if (table.isInterleaved() || scale == null) {
      regions.add(new Region(weight.file(), weight.offset(), weight.stride(), table.rowBytes()));
    } else {
      regions.add(weight);
      regions.add(scale);
    }
    try {
      Reader first = new Reader();
      readers.add(first);
      for (int i = 0; i < regions.size(); i++) {
        Region region = regions.get(i);
        table.requireSize(region.file(), first.files.get(i).length(), region.end(table.rows()));
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
    private final List<RandomAccessFile> files = new ArrayList<>();
    private final byte[] row = new byte[table.rowBytes()];

    Reader() throws IOException {
      try {
        for (Region region : regions) {
          RegularFiles.requireOfSystem(region.file());
          files.add(new RandomAccessFile(region.file().toFile(), "r"));
        }
      } catch (Throwable e) {
        close();
        throw e;
      }
    }

    byte[] read(long id) throws IOException {
      int at = 0;
      for (int i = 0; i < regions.size(); i++) {
        Region region = regions.get(i);
        RandomAccessFile file = files.get(i);
        file.seek(region.at(id));
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
        at += region.bytes();
      }
      return row;
    }

    @Override
    public void close() throws IOException {
      for (RandomAccessFile file : files) {
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
    return new Statistics(read, read * regions.size(), read * table.rowBytes(), 0, 0, 0, 0, 0, 0);
  }

  @Override
  public void close() throws IOException {
    for (Reader reader : readers) {
      reader.close();
    }
  }
}
