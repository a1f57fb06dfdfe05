package io.engram4j.run;

import io.engram4j.host.Buffer;
import io.engram4j.kernel.Backend;
import io.engram4j.weights.Linear;
import io.engram4j.work.Failures;
import io.engram4j.work.SharedWork;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Runs the stage project on several threads: outputs are split, so that each reads its part of the
 * weights once. The calling thread works as well, and does everything if no other is free. One per
 * step; for one thread at a time.
 */
public final class Projector extends SharedWork<Projector.Space>
    implements Runnable, AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(Projector.class);

  /** Pieces per thread, so that one which comes late, or is slow, holds up the others little. */
  private static final int PIECES = 4;

  /** For who does no piece. */
  private static final Space NONE = new Space();

  private final @Nullable Executor executor;
  private final int threads;
  private final Outputs split = new Outputs();
  private final ArrayDeque<Space> spaces = new ArrayDeque<>(); // of threads that are not at work
  private final List<Space> made = new ArrayList<>();
  private Work work = split;

  /** Pieces of some outputs each. */
  public interface Work {
    /** Does one of the pieces, with memory that no other thread has meanwhile. */
    void piece(int index, Space space);
  }

  /** Memory of a thread that is at work, kept for the next. */
  public static final class Space {
    private final List<Buffer> parts = new CopyOnWriteArrayList<>(); // counted by others
    private float[] sum = {};
    private float[] term = {};

    private Space() {}

    /** Makes room in some parts, of at least so many bytes each. */
    public void reserve(int count, long bytes) {
      while (parts.size() < count) {
        parts.add(new Buffer());
      }
      for (int i = 0; i < count; i++) {
        parts.get(i).reserve(bytes);
      }
    }

    /** Returns a part's memory. */
    public MemorySegment part(int index) {
      return parts.get(index).get();
    }

    /** Returns an array for a sum, of at least so many numbers. */
    public float[] sum(int count) {
      sum = count > sum.length ? new float[count] : sum;
      return sum;
    }

    /** Returns an array for a term of the sum. */
    public float[] term(int count) {
      term = count > term.length ? new float[count] : term;
      return term;
    }
  }

  /** The outputs of one kernel. */
  private static final class Outputs implements Work {
    private Backend.@Nullable Project kernel;
    private MemorySegment rows = MemorySegment.NULL;
    private MemorySegment kv = MemorySegment.NULL;
    private int tokens;
    private int outputs;
    private int step;

    @Override
    public void piece(int index, Space space) {
      Backend.Project project = kernel;
      if (project != null) {
        int first = index * step;
        project.run(rows, tokens, first, Math.min(step, outputs - first), kv);
      }
    }
  }

  /** One that takes up to so many threads, the caller's included. */
  public Projector(@Nullable Executor executor, int threads) {
    this.executor = executor;
    this.threads = threads;
  }

  /** Runs a kernel for all of its outputs. */
  public void run(
      Backend.Project project, MemorySegment from, int count, int width, MemorySegment to) {
    if (executor == null || threads == 1) {
      project.run(from, count, 0, width, to);
      return;
    }
    split.kernel = project;
    split.rows = from;
    split.tokens = count;
    split.outputs = width;
    split.kv = to;
    int tiles = Linear.tiles(width);
    split.step = Linear.TILE * Math.max(1, (tiles + threads * PIECES - 1) / (threads * PIECES));
    run(split, (width + split.step - 1) / split.step);
  }

  /** Does all pieces of some work. */
  public void run(Work newWork, int pieces) {
    Executor helpers = executor;
    work = newWork;
    begin(pieces);
    Throwable refused = null;
    try {
      for (int i = 1; helpers != null && i < threads; i++) {
        helpers.execute(this);
      }
    } catch (RejectedExecutionException e) {
      // then those who came are enough
    } catch (RuntimeException | Error e) {
      refused = e; // not now: those who came are at work
    }
    try {
      share();
    } catch (Throwable e) { // no memory, while helpers are at work
      abandon(e, NONE);
    }
    Throwable failure = await();
    Failures.rethrow(failure == null ? refused : failure);
  }

  /** What a helper does when it comes; one without memory leaves the work to the others. */
  @Override
  public void run() {
    try {
      share();
    } catch (OutOfMemoryError e) {
      log.debug("a helper goes away", e);
    }
  }

  private void share() {
    Space space = take();
    try {
      help(space);
    } finally {
      synchronized (spaces) {
        spaces.push(space);
      }
    }
  }

  private Space take() {
    synchronized (spaces) {
      Space space = spaces.poll();
      if (space == null) {
        space = new Space();
        made.add(space);
      }
      return space;
    }
  }

  @Override
  protected void piece(int index, Space space) {
    work.piece(index, space);
  }

  /** Returns the bytes of memory that threads have had. */
  long bytes() {
    synchronized (spaces) {
      return made.stream().flatMap(space -> space.parts.stream()).mapToLong(Buffer::bytes).sum();
    }
  }

  /** Frees the memory of threads; none may be at work. */
  @Override
  public void close() {
    synchronized (spaces) {
      made.forEach(space -> space.parts.forEach(Buffer::close));
    }
  }
}
