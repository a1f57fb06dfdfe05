package io.engram4j.run;

import io.engram4j.host.Buffer;
import io.engram4j.table.RowSource;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * The rows that one step needs of one layer, fetched while the model computes something else: a
 * part of a {@link Prefetch}, whose thread begins and ends it. The step's owner has it otherwise.
 */
final class PrefetchedRows implements AutoCloseable {
  private final Windows windows;
  private final LayerRuntime layer;
  private final Staging staging;
  private final Buffer rowIds = new Buffer();
  private final PrefetchEvent event = new PrefetchEvent();

  /** What a thread without stack can leave: {@link Prefetch} writes these itself. */
  final Lifetime.Call call;

  boolean inCall;
  private boolean started;
  private @Nullable Throwable failure;
  private volatile boolean ended;

  PrefetchedRows(Windows windows, LayerRuntime layer) {
    this.windows = windows;
    this.layer = layer;
    this.staging = new Staging(layer.weights().table());
    this.call = layer.lifetime().newCall();
  }

  LayerRuntime layer() {
    return layer;
  }

  /** Returns the tables that are asked together with this one, or null. */
  RowSource.@Nullable Group group() {
    return layer.weights().table().group();
  }

  /** Returns how many rows the step wants. */
  long rows() {
    return (long) windows.tokens() * layer.layout().columns();
  }

  /** Makes room for a step's row ids, before anybody begins. */
  void prepare() {
    failure = null;
    ended = false;
    rowIds.extend(8 * rows());
  }

  /** Returns whether a step may await them. */
  boolean isStarted() {
    return started;
  }

  /** Says whether they are on their way: not before all layers are prepared, nor given up. */
  void setStarted(boolean value) {
    started = value;
  }

  /** Begins to fetch; what goes wrong is kept for who wants the rows. */
  void begin(RowSource.@Nullable Round round) {
    try {
      event.begin();
      call.begin();
      inCall = true;
      hashAndFetch(round);
    } catch (RuntimeException | Error e) {
      failure = e;
    }
  }

  /** The first half of {@link LayerPass#fetchRows}: here tables in memory are staged as well. */
  private void hashAndFetch(RowSource.@Nullable Round round) {
    try {
      layer.hash(windows.windowsFrom(0), windows.tokens(), rowIds.get());
      staging.begin(rowIds.get(), rows(), round);
    } catch (InternalError e) {
      throw layer.shrunk(e);
    }
  }

  /** Waits until the rows are there, if they were begun. */
  void end() {
    try {
      staging.end();
      if (failure == null) {
        event.end();
        event.layer = layer.layout().layerId();
        event.tokens = windows.tokens();
        event.commit();
      }
    } catch (RuntimeException | Error e) {
      failure = failure == null ? e : failure;
    } finally {
      ended = true;
    }
  }

  /** Returns whether the rows are there, or never come. */
  boolean hasEnded() {
    return ended;
  }

  /** Returns what went wrong. */
  @Nullable Throwable failure() {
    return failure;
  }

  MemorySegment rowIdsFrom(int token) {
    return token == 0 ? rowIds.get() : rowIds.get().asSlice(8L * token * layer.layout().columns());
  }

  Staging staging() {
    return staging;
  }

  long bytes() {
    return rowIds.bytes() + staging.bytes();
  }

  @Override
  public void close() {
    call.close();
    rowIds.close();
    staging.close();
  }
}
