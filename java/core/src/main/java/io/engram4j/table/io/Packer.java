package io.engram4j.table.io;

import io.engram4j.host.CheckedFile;
import io.engram4j.host.RegularFiles;
import io.engram4j.work.Parallel;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.LongConsumer;

/**
 * Writes a table as a {@link PackedFile}: chunk by chunk into {@code NAME.part}, with a {@link
 * Journal} of the chunks that are done, then synced and moved into place. Ended at any moment, by
 * whatever, it goes on where it was when it is started again, having read anew and checked what it
 * had written.
 */
public final class Packer {
  /** Someone else is writing the same file. */
  static final class BusyException extends IOException {
    private static final long serialVersionUID = 1;

    BusyException(String message) {
      super(message);
    }
  }

  private static final String PART = ".part";
  private static final String JOURNAL = ".journal";

  private final TableFile source;
  private final Path target;
  private final Path part;
  private final int chunkRows;
  private final int chunks;
  private final LongConsumer progress;
  private final PackedFile.Origin origin;
  private boolean forgets;

  private Packer(TableFile source, PackedFile.Origin origin, Path target, LongConsumer progress) {
    this.source = source;
    this.origin = origin;
    this.target = target.toAbsolutePath();
    this.part = sibling(PART);
    this.chunkRows = PackedFile.chunkRows(source.rowBytes());
    this.chunks = Math.toIntExact(PackedFile.chunks(source.rows(), chunkRows));
    this.progress = progress;
  }

  private Path sibling(String suffix) {
    return target.resolveSibling(target.getFileName() + suffix);
  }

  /**
   * Writes a table's rows into a file, replacing one that is there when all is written.
   *
   * @param threads how many read and write at once
   * @param progress hears of bytes of rows that are done, from any thread
   * @throws IOException if a source cannot be read, or there is no room; what was written so far
   *     stays for the next try
   */
  public static PackedFile pack(TableFile source, Path target, int threads, LongConsumer progress)
      throws IOException {
    return pack(source, PackedFile.Origin.of(source), target, threads, progress);
  }

  /** Does the same for a table that is packed together with others. */
  public static PackedFile pack(
      TableFile source, PackedFile.Origin origin, Path target, int threads, LongConsumer progress)
      throws IOException {
    return new Packer(source, origin, target, progress).run(threads);
  }

  /**
   * Packs, and deletes what was written if that fails, while the lock is held: for a file system in
   * memory, where nobody would give it back.
   */
  static PackedFile packOrForget(TableFile source, Path target, int threads, LongConsumer progress)
      throws IOException {
    Packer packer = new Packer(source, PackedFile.Origin.of(source), target, progress);
    packer.forgets = true;
    return packer.run(threads);
  }

  private PackedFile run(int threads) throws IOException {
    Path journalFile = sibling(JOURNAL);
    try (FileChannel lockFile = RegularFiles.own(journalFile)) {
      requireLock(lockFile); // until the channel is closed
      try (Arena arena = Arena.ofShared();
          FileChannel out = RegularFiles.own(part)) {
        String identity = source.identity() + "\n" + origin;
        Journal journal = Journal.open(lockFile, identity, chunks, arena);
        requireRoom(out.size());
        Parallel.run("pack", threads, chunks, () -> new Worker(out, journal));
        finish(out, journal);
        Files.deleteIfExists(journalFile);
      } catch (Throwable e) {
        if (forgets) {
          Files.deleteIfExists(part);
          Files.deleteIfExists(journalFile);
        }
        throw e;
      }
    }
    return PackedFile.open(target);
  }

  /**
   * Deletes the journal beside a file that is complete, which a process leaves that dies between
   * the file's rename and this; not one that somebody has locked.
   */
  static void forgetJournal(Path target) throws IOException {
    Path journalFile = target.resolveSibling(target.getFileName() + JOURNAL);
    if (Files.exists(journalFile)) {
      try (FileChannel lockFile = RegularFiles.own(journalFile)) {
        if (locks(lockFile)) {
          Files.deleteIfExists(journalFile);
        }
      }
    }
  }

  private void requireLock(FileChannel channel) throws IOException {
    if (!locks(channel)) {
      throw new BusyException(target + " is being written by another process");
    }
  }

  /** Locks a file until its channel is closed, unless another process or thread has. */
  private static boolean locks(FileChannel channel) throws IOException {
    try {
      return channel.tryLock() != null;
    } catch (OverlappingFileLockException e) {
      return false;
    }
  }

  private void requireRoom(long written) throws IOException {
    long size = PackedFile.size(source.rows(), source.rowBytes());
    long room = part.toFile().getUsableSpace(); // needs no entry among the mounts; 0 if unknown
    // a sparse .part may look further than it is: writing then says so
    if (room > 0 && size - written > room) {
      throw new IOException(
          target + " takes " + size + " bytes, but its file system has only " + room + " left");
    }
  }

  private void finish(FileChannel out, Journal journal) throws IOException {
    int[] checksums = new int[chunks];
    for (int chunk = 0; chunk < chunks; chunk++) {
      checksums[chunk] = journal.checksum(chunk);
    }
    long at = PackedFile.checksumsAt(source.rows(), source.rowBytes());
    writeFully(out, PackedFile.checksumBytes(checksums), at);
    writeFully(out, PackedFile.header(source, checksums, origin), 0);
    out.truncate(PackedFile.size(source.rows(), source.rowBytes()));
    out.force(true);
    CheckedFile.moveInto(part, target);
  }

  private static void writeFully(FileChannel out, ByteBuffer bytes, long at) throws IOException {
    long position = at;
    while (bytes.hasRemaining()) {
      position += out.write(bytes, position);
    }
  }

  private final class Worker implements Parallel.Worker {
    private final FileChannel out;
    private final Journal journal;
    private final Arena arena = Arena.ofConfined();
    private final MemorySegment buffer;
    private final BulkReader reader;

    Worker(FileChannel out, Journal journal) throws IOException {
      this.out = out;
      this.journal = journal;
      try {
        this.buffer = arena.allocate((long) chunkRows * source.rowBytes(), 4096);
        this.reader = new BulkReader(source, chunkRows);
      } catch (Throwable e) {
        arena.close();
        throw e;
      }
    }

    @Override
    public void part(long chunk) throws IOException {
      long first = chunk * chunkRows;
      int count = (int) Math.min(chunkRows, source.rows() - first);
      MemorySegment rows = buffer.asSlice(0, (long) count * source.rowBytes());
      long at = PackedFile.DATA + first * source.rowBytes();
      if (!journal.isDone((int) chunk) || !isIntact(rows, at, journal.checksum((int) chunk))) {
        reader.read(first, count, rows);
        int checksum = CheckedFile.crc(rows.asByteBuffer());
        writeFully(out, rows.asByteBuffer(), at);
        journal.done((int) chunk, checksum);
      }
      progress.accept(rows.byteSize());
    }

    /** After a loss of power the journal may know more than the disk. */
    private boolean isIntact(MemorySegment rows, long at, int checksum) throws IOException {
      ByteBuffer buffer = rows.asByteBuffer();
      while (buffer.hasRemaining()) {
        int read = out.read(buffer, at + buffer.position());
        if (read < 0) {
          return false;
        }
      }
      return CheckedFile.crc(buffer.flip()) == checksum;
    }

    @Override
    public void close() throws IOException {
      arena.close();
      reader.close();
    }
  }
}
