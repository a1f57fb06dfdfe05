package io.engram4j.remote;

import io.engram4j.remote.Fleet.Generation;
import io.engram4j.table.RowSource;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/** A call that reads rows of other machines, from its begin to its end. Used again. */
final class RemoteReading implements RowSource.Reading {
  private final RemoteRows rows;
  private final Batch batch;
  private final Fleet fleet;
  private final int rowBytes;
  private MemorySegment wanted = MemorySegment.NULL;
  private MemorySegment to = MemorySegment.NULL;
  private long count;
  private long deadline;
  private long first; // of the part under way
  private Generation generation;
  private final RemoteRound alone;
  private RemoteRound round;

  RemoteReading(RemoteRows rows, Batch batch, Fleet fleet) {
    this.rows = rows;
    this.batch = batch;
    this.fleet = fleet;
    this.rowBytes = batch.table().rowBytes();
    this.generation = fleet.current();
    this.alone = new RemoteRound(fleet);
    this.round = alone;
  }

  void begin(
      MemorySegment rowIds,
      long ofThem,
      MemorySegment into,
      long until,
      @Nullable RemoteRound with) {
    round = with == null ? alone : with;
    wanted = rowIds;
    count = ofThem;
    to = into;
    deadline = until;
    generation = fleet.current();
    try {
      beginPart(0);
    } catch (RuntimeException e) {
      giveBack();
      throw e;
    }
  }

  /** After an error it is not used again: there may have been no stack to leave it as it was. */
  private void giveBack() {
    wanted = MemorySegment.NULL;
    to = MemorySegment.NULL;
    round = alone;
    rows.add(this);
  }

  private void beginPart(long at) {
    first = at;
    int some = (int) Math.min(Batch.MOST_ROWS, count - at);
    MemorySegment ids = at == 0 ? wanted : wanted.asSlice(8 * at);
    batch.begin(ids, some, generation, deadline, round);
  }

  private boolean endPart() {
    if (!batch.end(first == 0 ? to : to.asSlice(first * rowBytes))) {
      return false;
    }
    rows.count(batch);
    return true;
  }

  @Override
  public void end() {
    try {
      while (!endAll()) { // of the next generation, then
        Thread.onSpinWait();
        generation = fleet.current();
        beginPart(0);
      }
    } catch (RuntimeException e) {
      giveBack();
      throw e;
    }
    giveBack();
  }

  private boolean endAll() {
    if (!endPart()) {
      return false;
    }
    while (first + Batch.MOST_ROWS < count) {
      beginPart(first + Batch.MOST_ROWS);
      if (!endPart()) {
        return false;
      }
    }
    return true;
  }
}
