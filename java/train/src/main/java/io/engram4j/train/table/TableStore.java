package io.engram4j.train.table;

import io.engram4j.host.CheckedFile;
import io.engram4j.host.Hosts;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.zip.CRC32C;

/**
 * A trainable table's file: a page that says what it holds and as of which step, then the rows;
 * sparse. Beside it, during a checkpoint, a journal of the rows that changed: {@code ENGRJRN1}, the
 * step, the number of rows, the bytes of each, then each row's number and bytes, then a CRC-32C.
 */
final class TableStore implements AutoCloseable {
  private static final String MAGIC = "ENGRTRN1";
  private static final String JOURNAL = "ENGRJRN1";
  private static final int HEADER = TableShape.PAGE;

  /**
   * Of the header: where its checksum lies, and the step of the checkpoint that the rows are of.
   */
  private static final int CHECKSUM = HEADER - 16;

  private static final int STEP = HEADER - 8;

  /** In place of a step: rows change in the file itself, and are of no one step. */
  private static final long SHARED = -2;

  private static final int JOURNAL_HEADER = 8 + 8 + 8 + 4;
  private static final int BUFFER = 1 << 20;

  private final Path file;
  private final TableShape shape;
  private final FileChannel channel;
  private final boolean shared;

  private TableStore(Path file, TableShape shape, FileChannel channel, boolean shared) {
    this.file = file;
    this.shape = shape;
    this.channel = channel;
    this.shared = shared;
  }

  static TableStore open(Path file, TableShape shape, long step) throws IOException {
    FileChannel channel =
        FileChannel.open(
            file, StandardOpenOption.READ, StandardOpenOption.WRITE, StandardOpenOption.CREATE);
    try {
      lock(channel, file, false);
      TableStore store = new TableStore(file, shape, channel, false);
      if (channel.size() == 0) {
        store.create();
      }
      store.requireSame();
      store.recover(step);
      return store;
    } catch (Throwable e) {
      channel.close();
      throw e;
    }
  }

  /** Opens a table that several processes change in its file. */
  static TableStore share(Path file, TableShape shape) throws IOException {
    FileChannel channel =
        FileChannel.open(
            file, StandardOpenOption.READ, StandardOpenOption.WRITE, StandardOpenOption.CREATE);
    try {
      TableStore store = new TableStore(file, shape, channel, true);
      create(store, shape.bytes());
      lock(channel, file, true);
      store.requireSame();
      if (Files.exists(store.journal())) {
        throw new IOException(
            file + " has a checkpoint's journal beside it: open it alone first, as of that step");
      }
      store.write(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(0, SHARED), STEP);
      return store;
    } catch (Throwable e) {
      channel.close();
      throw e;
    }
  }

  /** The first of several processes makes the file, beside its place, and others see it whole. */
  private static void create(TableStore store, long bytes) throws IOException {
    Path gate = store.file.resolveSibling(store.file.getFileName() + ".lock");
    try (FileChannel turn =
            FileChannel.open(gate, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        FileLock lock = turn.lock()) {
      if (lock.isValid() && store.channel.size() < HEADER + bytes) {
        if (store.channel.size() > 0) {
          store.requireSame(); // which tells what is wrong with it
        }
        store.create();
      }
    }
  }

  boolean isShared() {
    return shared;
  }

  /** One process trains a table, or several that share it; the lock goes with the channel. */
  private static void lock(FileChannel channel, Path file, boolean shared) throws IOException {
    FileLock lock;
    try {
      lock = channel.tryLock(0, Long.MAX_VALUE, shared);
    } catch (OverlappingFileLockException e) {
      throw new IOException(file + " is already being trained by this process", e);
    }
    if (lock == null) {
      throw new IOException(file + " is being trained by another process");
    }
  }

  private void create() throws IOException {
    byte[] text = shape.describe().getBytes(StandardCharsets.UTF_8);
    ByteBuffer header = ByteBuffer.allocate(HEADER).order(ByteOrder.LITTLE_ENDIAN);
    header.putLong(CheckedFile.magic(MAGIC)).putInt(text.length).put(text);
    header.putInt(CHECKSUM, CheckedFile.crc(header.duplicate().position(0).limit(CHECKSUM)));
    header.putLong(STEP, -1);
    channel.write(ByteBuffer.allocate(1), HEADER + shape.bytes() - 1); // the rest is a hole
    write(header.position(0).limit(HEADER), 0);
    channel.force(true);
  }

  private void requireSame() throws IOException {
    ByteBuffer header = ByteBuffer.allocate(HEADER).order(ByteOrder.LITTLE_ENDIAN);
    read(header, 0, "is not a trainable table");
    int length = header.getInt(8);
    if (header.getLong(0) != CheckedFile.magic(MAGIC)
        || header.getInt(CHECKSUM)
            != CheckedFile.crc(header.duplicate().position(0).limit(CHECKSUM))
        || length < 0
        || length > CHECKSUM - 12) {
      throw new IOException(file + " is not a trainable table, or its first page is damaged");
    }
    String held = new String(header.array(), 12, length, StandardCharsets.UTF_8);
    if (!held.equals(shape.describe())) {
      throw new IOException(file + " holds " + held + ", but wanted are " + shape.describe());
    }
    if (channel.size() != HEADER + shape.bytes()) {
      throw new IOException(
          file
              + " has "
              + channel.size()
              + " bytes, but its rows take "
              + (HEADER + shape.bytes()));
    }
  }

  /** Maps the rows; what is written to them stays in this process's memory, unless it is shared. */
  MemorySegment map(Arena arena) throws IOException {
    MapMode mode = shared ? MapMode.READ_WRITE : MapMode.PRIVATE;
    MemorySegment mapping = channel.map(mode, HEADER, shape.bytes(), arena);
    // with neighbours read ahead the first touch of a row in 13 GB took 600 us, without 10 (Zen 4)
    Hosts.find().files().random(mapping);
    return mapping;
  }

  private Path journal() {
    return file.resolveSibling(file.getFileName() + ".journal");
  }

  void writeJournal(long step, long[] rows, MemorySegment memory) throws IOException {
    Path temporary = file.resolveSibling(file.getFileName() + ".journal.tmp");
    try {
      try (FileChannel out =
          FileChannel.open(
              temporary,
              StandardOpenOption.WRITE,
              StandardOpenOption.CREATE,
              StandardOpenOption.TRUNCATE_EXISTING)) {
        CRC32C crc = new CRC32C();
        ByteBuffer buffer = ByteBuffer.allocate(BUFFER).order(ByteOrder.LITTLE_ENDIAN);
        buffer.putLong(CheckedFile.magic(JOURNAL)).putLong(step).putLong(rows.length);
        buffer.putInt(shape.rowBytes());
        for (long row : rows) {
          if (buffer.remaining() < 8 + shape.rowBytes()) {
            drain(out, buffer, crc);
          }
          buffer.putLong(row);
          buffer.put(memory.asSlice(shape.at(row), shape.rowBytes()).asByteBuffer());
        }
        drain(out, buffer, crc);
        buffer.putInt((int) crc.getValue());
        drain(out, buffer, crc);
        out.force(true);
      }
      CheckedFile.moveInto(temporary, journal());
    } finally {
      Files.deleteIfExists(temporary);
    }
  }

  private static void drain(FileChannel out, ByteBuffer buffer, CRC32C crc) throws IOException {
    buffer.flip();
    crc.update(buffer.duplicate());
    while (buffer.hasRemaining()) {
      out.write(buffer);
    }
    buffer.clear();
  }

  /** A journal whose checkpoint counts is applied, again if need be; another never happened. */
  private void recover(long step) throws IOException {
    if (Files.exists(journal())) {
      if (journalStep() == step) {
        apply(step);
      } else {
        Files.delete(journal());
      }
    }
    Files.deleteIfExists(file.resolveSibling(file.getFileName() + ".journal.tmp"));
    if (heldStep() == SHARED) {
      throw new IOException(
          file + " was trained by processes that share it: its rows are of no one step");
    }
    if (!isOf(step)) {
      throw new IOException(
          file + " holds the rows of step " + heldStep() + ", but wanted is step " + step);
    }
  }

  private boolean isOf(long step) throws IOException {
    return heldStep() == step;
  }

  private long heldStep() throws IOException {
    ByteBuffer held = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
    while (held.hasRemaining()) {
      if (channel.read(held, STEP + held.position()) < 0) {
        throw new IOException(file + " ends within its header");
      }
    }
    return held.getLong(0);
  }

  private long journalStep() throws IOException {
    try (FileChannel in = FileChannel.open(journal())) {
      ByteBuffer head = ByteBuffer.allocate(JOURNAL_HEADER).order(ByteOrder.LITTLE_ENDIAN);
      while (head.hasRemaining() && in.read(head) >= 0) {}
      if (head.hasRemaining() || head.getLong(0) != CheckedFile.magic(JOURNAL)) {
        throw new IOException(journal() + " is not a table's journal");
      }
      return head.getLong(8);
    }
  }

  void apply(long step) throws IOException {
    if (isOf(step)) {
      Files.deleteIfExists(journal());
      return; // by a commit that failed later
    }
    requireWhole();
    try (FileChannel in = FileChannel.open(journal())) {
      ByteBuffer head = ByteBuffer.allocate(JOURNAL_HEADER).order(ByteOrder.LITTLE_ENDIAN);
      fill(in, head);
      long count = head.getLong(16);
      if (head.getLong(8) != step || head.getInt(24) != shape.rowBytes()) {
        throw new IOException(
            journal()
                + " is of step "
                + head.getLong(8)
                + " with rows of "
                + head.getInt(24)
                + " bytes, not of step "
                + step
                + " with "
                + shape.rowBytes());
      }
      int unit = 8 + shape.rowBytes();
      ByteBuffer some =
          ByteBuffer.allocate(Math.max(1, BUFFER / unit) * unit).order(ByteOrder.LITTLE_ENDIAN);
      for (long left = count; left > 0; ) {
        int rows = (int) Math.min(left, some.capacity() / unit);
        fill(in, some.clear().limit(rows * unit));
        for (int i = 0; i < rows; i++) {
          long row = some.getLong(i * unit);
          if (!shape.holds(row)) {
            throw new IOException(journal() + " names row " + row + " of " + shape.range());
          }
          write(some.slice(i * unit + 8, shape.rowBytes()), HEADER + shape.at(row));
        }
        left -= rows;
      }
    }
    channel.force(false);
    write(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(0, step), STEP);
    channel.force(false);
    Files.delete(journal());
  }

  /** Before anything is applied, for half of a journal would be neither checkpoint. */
  private void requireWhole() throws IOException {
    try (FileChannel in = FileChannel.open(journal())) {
      CRC32C crc = new CRC32C();
      ByteBuffer buffer = ByteBuffer.allocate(BUFFER).order(ByteOrder.LITTLE_ENDIAN);
      for (long left = in.size() - 4; left > 0; ) {
        fill(in, buffer.clear().limit((int) Math.min(left, BUFFER)));
        left -= buffer.limit();
        crc.update(buffer);
      }
      ByteBuffer end = ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN);
      fill(in, end);
      if (end.getInt(0) != (int) crc.getValue()) {
        throw new IOException(journal() + " is damaged: its checksum does not match");
      }
    }
  }

  /** Reads all that a buffer takes, and flips it. */
  private void fill(FileChannel in, ByteBuffer buffer) throws IOException {
    while (buffer.hasRemaining()) {
      if (in.read(buffer) < 0) {
        throw new IOException(journal() + " ends too early");
      }
    }
    buffer.flip();
  }

  private void read(ByteBuffer buffer, long at, String otherwise) throws IOException {
    while (buffer.hasRemaining()) {
      if (channel.read(buffer, at + buffer.position()) < 0) {
        throw new IOException(file + " " + otherwise + ": it has " + channel.size() + " bytes");
      }
    }
  }

  private void write(ByteBuffer buffer, long at) throws IOException {
    long to = at;
    while (buffer.hasRemaining()) {
      to += channel.write(buffer, to);
    }
  }

  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }
}
