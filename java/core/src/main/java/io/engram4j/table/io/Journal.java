package io.engram4j.table.io;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.engram4j.host.Digests;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;

/**
 * Which chunks of a packed file are written, in a mapped file: what a process has put there stays
 * when the process is killed. Of another source, or another length, it begins anew. Thread-safe.
 */
final class Journal {
  private static final int HEADER = 4; // longs: a digest of the source
  private static final long DONE = 1L << 32;
  private static final VarHandle LONGS = JAVA_LONG.arrayElementVarHandle();

  private final MemorySegment longs;

  private Journal(MemorySegment longs) {
    this.longs = longs;
  }

  static Journal open(FileChannel channel, String source, int chunks, Arena arena)
      throws IOException {
    long bytes = 8L * (HEADER + chunks);
    if (channel.size() != bytes) {
      channel.truncate(0);
      // written, not left as a hole: a full disk is then an exception here, and not a fault later
      ByteBuffer zeros = ByteBuffer.allocate(Math.toIntExact(bytes));
      while (zeros.hasRemaining()) {
        channel.write(zeros, zeros.position());
      }
    }
    MemorySegment longs = channel.map(MapMode.READ_WRITE, 0, bytes, arena);
    MemorySegment digest = MemorySegment.ofArray(Digests.sha256(source));
    if (longs.asSlice(0, 8 * HEADER).mismatch(digest) >= 0) {
      longs.fill((byte) 0);
      longs.asSlice(0, 8 * HEADER).copyFrom(digest);
    }
    return new Journal(longs);
  }

  void done(int chunk, int checksum) {
    LONGS.setRelease(longs, 0L, (long) HEADER + chunk, DONE | (checksum & 0xffffffffL));
  }

  boolean isDone(int chunk) {
    return ((long) LONGS.getAcquire(longs, 0L, (long) HEADER + chunk) & DONE) != 0;
  }

  int checksum(int chunk) {
    return (int) (long) LONGS.getAcquire(longs, 0L, (long) HEADER + chunk);
  }
}
