package io.engram4j.table.io;

import io.engram4j.table.io.ReadPlan.Source;
import io.engram4j.work.SharedWork;
import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.LinkedBlockingQueue;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Reads by a few threads with a buffer each, which take the reads of all callers in turn. Only they
 * touch the files, since a caller that is interrupted in the midst of a read would close the file
 * for all.
 */
final class PooledReads implements RowReads {
  private static final Logger LOG = LoggerFactory.getLogger(PooledReads.class);

  /** 128 threads read 1.1 times as fast as 32, but are not worth having. */
  private static final int MOST_THREADS = 32;

  private final TableFile table;
  private final List<FileChannel> channels = new ArrayList<>();
  private final BlockingQueue<Job> tickets = new LinkedBlockingQueue<>();
  private final ConcurrentLinkedQueue<Job> idle = new ConcurrentLinkedQueue<>();
  private final List<Thread> threads = new ArrayList<>();
  private final Arena buffers = Arena.ofShared(); // the JDK's own wait for a garbage collection
  private final Job stop = new Job();
  private final ByteBuffer none = ByteBuffer.allocate(0);
  private final Set<FileChannel> direct = new HashSet<>(); // those opened past the page cache

  PooledReads(TableFile table, List<Source> sources, int depth) throws IOException {
    this.table = table;
    try {
      for (Source source : sources) {
        Path file = source.region().file();
        FileChannel channel = open(file, source.block());
        channels.add(channel);
        table.requireSize(file, channel.size(), source.region().end(source.rows()));
      }
    } catch (Throwable e) {
      closeFiles();
      throw e;
    }
    int count = Math.min(depth, MOST_THREADS);
    int block = sources.stream().mapToInt(Source::block).max().orElseThrow();
    long bytes = sources.stream().mapToInt(Source::mostBytes).max().orElseThrow();
    long each = Math.ceilDiv(bytes, block) * block;
    try {
      // here, not in the threads: one that died for want of a buffer would leave callers waiting
      MemorySegment all = buffers.allocate(each * count, block);
      for (int i = 0; i < count; i++) {
        ByteBuffer buffer = all.asSlice(each * i, each).asByteBuffer();
        threads.add(
            Thread.ofPlatform().daemon().name("engram-stream-" + i).start(() -> serve(buffer)));
      }
    } catch (OutOfMemoryError e) {
      close();
      throw new IOException(
          "no memory for " + count + " reads at once of " + table.name() + ": " + e.getMessage(),
          e);
    }
  }

  /** Opens a file, past the page cache if its file system can. */
  private FileChannel open(Path file, int block) throws IOException {
    try {
      if (Files.getFileStore(file).getBlockSize() > block) { // the JDK reads in multiples of it
        throw new IOException("the blocks of " + file + " are too large to read them whole");
      }
      FileChannel channel = FileChannel.open(file, StandardOpenOption.READ, pastCache());
      direct.add(channel);
      return channel;
    } catch (UnsupportedOperationException | IOException e) {
      return FileChannel.open(file, StandardOpenOption.READ);
    }
  }

  /** The JDK's option for it, which is no part of its standard API, so there may be none. */
  private static OpenOption pastCache() throws IOException {
    try {
      Class<?> options = Class.forName("com.sun.nio.file.ExtendedOpenOption");
      for (Object option : options.getEnumConstants()) {
        if (option.toString().equals("DIRECT")) {
          return (OpenOption) option;
        }
      }
    } catch (ClassNotFoundException e) {
      throw new IOException("this JDK cannot read past the page cache", e);
    }
    throw new IOException("this JDK cannot read past the page cache");
  }

  @Override
  public String description() {
    String cache = direct.containsAll(channels) ? "past" : "through";
    return threads.size() + " reads at once by threads, " + cache + " the page cache";
  }

  @Override
  public void run(ReadPlan plan) throws IOException {
    Job job = idle.poll();
    if (job == null) {
      job = new Job();
    }
    job.begin(plan);
    try {
      for (int i = Math.min(plan.reads(), threads.size()); i > 0; i--) {
        tickets.add(job);
      }
    } catch (Throwable e) { // no memory: those who came are still at work
      job.abandon(e, none);
    }
    Throwable failure = job.await();
    idle.add(job);
    switch (failure) {
      case null -> {}
      case IOException e -> throw e;
      default ->
          throw new IOException("reading rows of " + table.name() + " failed: " + failure, failure);
    }
  }

  /** A thread's life: helps whoever asks until the files are closed. */
  private void serve(ByteBuffer buffer) {
    for (; ; ) {
      try {
        Job job = tickets.take();
        if (job == stop) {
          return;
        }
        job.help(buffer);
      } catch (InterruptedException e) {
        Thread.interrupted(); // nobody has a reason to; the files stay open
      } catch (Throwable e) {
        LOG.debug("reading goes on after {}", e.toString()); // callers would wait for ever
      }
    }
  }

  private void read(ReadPlan plan, int read, ByteBuffer buffer) throws IOException {
    FileChannel channel = channels.get(plan.source(read));
    long start = plan.start(read);
    int block = direct.contains(channel) ? plan.block(read) : 1;
    int from = 0;
    int have = 0;
    buffer.clear().limit(plan.length(read));
    while (have < plan.needed(read)) {
      int got = channel.read(buffer.position(from), start + from);
      have = from + got;
      int next = have / block * block; // past the page cache, reads go on at blocks
      if (have >= plan.needed(read)) {
        break;
      }
      long size = channel.size();
      if (got <= 0 || size < start + plan.needed(read)) {
        throw plan.ended(read, size);
      }
      if (next == from) {
        throw plan.failed(read, "only " + got + " bytes came");
      }
      from = next;
    }
    buffer.limit(have).position(0);
    plan.scatter(read, MemorySegment.ofBuffer(buffer));
  }

  @Override
  public void close() throws IOException {
    for (int i = 0; i < threads.size(); i++) {
      tickets.add(stop);
    }
    boolean interrupted = false;
    for (Thread thread : threads) {
      while (thread.isAlive()) {
        try {
          thread.join();
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    closeFiles();
  }

  private void closeFiles() throws IOException {
    if (buffers.scope().isAlive()) {
      buffers.close();
    }
    for (FileChannel channel : channels) {
      channel.close();
    }
  }

  /** The reads of one caller. */
  private final class Job extends SharedWork<ByteBuffer> {
    private volatile @Nullable ReadPlan plan;

    void begin(ReadPlan wanted) {
      plan = wanted;
      begin(wanted.reads());
    }

    @Override
    protected void piece(int read, ByteBuffer buffer) throws IOException {
      ReadPlan ours = Objects.requireNonNull(plan);
      try {
        read(ours, read, buffer);
      } catch (EOFException e) {
        throw e; // has all there is to say
      } catch (IOException e) {
        throw ours.failed(read, String.valueOf(e.getMessage()));
      }
    }
  }
}
