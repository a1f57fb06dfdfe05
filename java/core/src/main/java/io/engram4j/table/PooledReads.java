package io.engram4j.table;

import io.engram4j.table.ReadPlan.Source;
import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Reads by a few threads with a buffer each, which take the reads of all callers in turn. Only they
 * touch the files, since a caller that is interrupted in the midst of a read would close the file
 * for all.
 */
final class PooledReads implements RowReads {
  /** 128 threads read 1.1 times as fast as 32, but are not worth having. */
  private static final int MOST_THREADS = 32;

  private final TableFile table;
  private final List<FileChannel> channels = new ArrayList<>();
  private final BlockingQueue<Job> tickets = new LinkedBlockingQueue<>();
  private final ConcurrentLinkedQueue<Job> idle = new ConcurrentLinkedQueue<>();
  private final List<Thread> threads = new ArrayList<>();
  private final Job stop = new Job();
  private boolean direct = true;

  PooledReads(TableFile table, List<Source> sources, int depth) throws IOException {
    this.table = table;
    try {
      for (Source source : sources) {
        Path file = source.region().file();
        FileChannel channel = open(file);
        channels.add(channel);
        table.requireSize(file, channel.size(), source.region().end(table.rows()));
      }
    } catch (IOException | RuntimeException e) {
      closeFiles();
      throw e;
    }
    int count = Math.min(depth, MOST_THREADS);
    int bytes = sources.stream().mapToInt(Source::mostBytes).max().orElseThrow();
    try {
      for (int i = 0; i < count; i++) {
        // here, not in the thread: one that died for want of a buffer would leave callers waiting
        ByteBuffer buffer = ByteBuffer.allocateDirect(bytes + 4096).alignedSlice(4096);
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
  private FileChannel open(Path file) throws IOException {
    try {
      return FileChannel.open(file, StandardOpenOption.READ, pastCache());
    } catch (UnsupportedOperationException | IOException e) {
      direct = false;
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
    String cache = direct ? "past" : "through";
    return threads.size() + " reads at once by threads, " + cache + " the page cache";
  }

  @Override
  public void run(ReadPlan plan) throws IOException {
    Job job = idle.poll();
    if (job == null) {
      job = new Job();
    }
    job.begin(plan);
    for (int i = Math.min(plan.reads(), threads.size()); i > 0; i--) {
      tickets.add(job);
    }
    IOException failure = job.await();
    idle.add(job);
    if (failure != null) {
      throw failure;
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
      }
    }
  }

  private void read(ReadPlan plan, int read, ByteBuffer buffer) throws IOException {
    FileChannel channel = channels.get(plan.source(read));
    long start = plan.start(read);
    buffer.clear().limit(plan.length(read));
    while (buffer.position() < plan.needed(read)) {
      if (channel.read(buffer, start + buffer.position()) <= 0) {
        throw plan.ended(read, channel.size());
      }
    }
    plan.scatter(read, MemorySegment.ofBuffer(buffer.flip()));
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
    for (FileChannel channel : channels) {
      channel.close();
    }
  }

  /** The reads of one caller, which threads claim one by one. Reused. */
  private final class Job {
    private final AtomicLong next = new AtomicLong(); // turn, and in the lower half the next read
    private final AtomicInteger left = new AtomicInteger();
    private volatile int turn;
    private volatile int reads;
    private volatile @Nullable ReadPlan plan;
    private volatile @Nullable Thread waiter;
    private volatile @Nullable IOException failure;

    void begin(ReadPlan wanted) {
      int own = turn + 1;
      turn = own; // whoever still holds a ticket of the turn before gets nothing of this one
      failure = null;
      plan = wanted;
      reads = wanted.reads();
      left.set(wanted.reads());
      waiter = Thread.currentThread();
      next.set((long) own << 32);
    }

    /** Does reads until there are none left. */
    void help(ByteBuffer buffer) {
      for (; ; ) {
        long claim = next.getAndIncrement();
        int read = (int) claim;
        ReadPlan ours = plan;
        boolean none = read >= reads; // before the turn is looked at: it changes first
        if (ours == null || none || (int) (claim >>> 32) != turn) {
          return;
        }
        try {
          if (failure == null) {
            read(ours, read, buffer);
          }
        } catch (EOFException e) {
          failure = e; // has all there is to say
        } catch (IOException e) {
          failure = ours.failed(read, String.valueOf(e.getMessage()));
        } catch (RuntimeException | Error e) {
          failure = new IOException("reading rows of " + table.name() + " failed: " + e, e);
        } finally {
          if (left.decrementAndGet() == 0) {
            LockSupport.unpark(waiter);
          }
        }
      }
    }

    /** Waits for all reads; an interrupt is kept for later, as they take no time worth breaking. */
    @Nullable IOException await() {
      boolean interrupted = false;
      while (left.get() > 0) {
        LockSupport.park(this);
        interrupted |= Thread.interrupted();
      }
      waiter = null;
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
      return failure;
    }
  }
}
