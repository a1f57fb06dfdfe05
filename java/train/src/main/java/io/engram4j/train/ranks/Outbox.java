package io.engram4j.train.ranks;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.jspecify.annotations.Nullable;

/**
 * What a rank sends, as it or another sees it: two halves in turn, so that what is taken from one
 * stays until all have put into the other. What is put begins with the bytes for each rank.
 */
final class Outbox implements AutoCloseable {
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;
  private static final long PAGE = 4096;

  private final Path file;
  private final int rank;
  private final RankTable table;
  private @Nullable Arena arena;
  private MemorySegment memory = MemorySegment.NULL;
  private long last;

  /** The outbox of a rank, which is that of this process or another's. */
  Outbox(Path file, int rank, RankTable table) {
    this.file = file;
    this.rank = rank;
    this.table = table;
  }

  /** Puts the parts of all ranks. */
  void put(long exchange, MemorySegment send, long[] at, long[] bytes) throws IOException {
    long needed = 8L * bytes.length;
    for (long part : bytes) {
      needed = Math.addExact(needed, (part + 7) / 8 * 8);
    }
    long here = last == 0 ? memory.byteSize() / 2 : 0;
    if (2 * needed > memory.byteSize()) {
      // the upper half begins behind all that others may still read of the smaller one
      long size = Math.max(4 * needed, 2 * memory.byteSize());
      map(Math.ceilDiv(size, 2 * PAGE) * 2 * PAGE, true);
      here = memory.byteSize() / 2;
    }
    long to = here + 8L * bytes.length;
    for (int i = 0; i < bytes.length; i++) {
      memory.set(LONG, here + 8L * i, bytes[i]);
      MemorySegment.copy(send, at[i], memory, to, bytes[i]);
      to += (bytes[i] + 7) / 8 * 8;
    }
    table.sent(rank, exchange, memory.byteSize(), here);
    last = here;
  }

  /** Takes the part for a rank, which is there until the exchange after the next. */
  MemorySegment take(long exchange, int to) throws IOException {
    long bytes = table.sentBytes(rank, exchange);
    if (bytes > memory.byteSize()) {
      map(bytes, false);
    }
    long here = table.sentAt(rank, exchange);
    long at = here + 8L * table.size();
    for (int i = 0; i < to; i++) {
      at += (memory.get(LONG, here + 8L * i) + 7) / 8 * 8;
    }
    return memory.asSlice(at, memory.get(LONG, here + 8L * to)).asReadOnly();
  }

  private void map(long bytes, boolean write) throws IOException {
    Arena next = Arena.ofShared();
    try (FileChannel channel =
        write
            ? FileChannel.open(
                file, StandardOpenOption.READ, StandardOpenOption.WRITE, StandardOpenOption.CREATE)
            : FileChannel.open(file)) {
      if (write) { // now, where a full disk is an exception; in mapped memory it is a fault
        ByteBuffer zeros = ByteBuffer.allocate(1 << 16);
        for (long at = memory.byteSize(); at < bytes; ) {
          at += channel.write(zeros.clear().limit((int) Math.min(1 << 16, bytes - at)), at);
        }
      }
      memory = channel.map(write ? MapMode.READ_WRITE : MapMode.READ_ONLY, 0, bytes, next);
    } catch (Throwable e) {
      next.close();
      throw e;
    }
    close();
    arena = next;
  }

  @Override
  public void close() {
    if (arena != null) {
      arena.close();
    }
  }
}
