package io.engram4j.remote;

import io.engram4j.table.RowSource;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What one thread has begun to read and not ended. Requests wait here until it waits for rows, so
 * that those for one endpoint go in one message; and while it waits for one batch it looks after
 * all. Used again. For one thread at a time.
 */
final class RemoteRound implements RowSource.Round, Driver.Waiting {
  private final Fleet fleet;
  private final Fetches[] unsent; // per endpoint
  private final List<Batch> batches = new ArrayList<>();
  private long looked;

  RemoteRound(Fleet fleet) {
    this.fleet = fleet;
    this.unsent = new Fetches[fleet.endpoints().size()];
    for (int i = 0; i < unsent.length; i++) {
      unsent[i] = new Fetches();
    }
  }

  Fleet fleet() {
    return fleet;
  }

  void add(Batch batch) {
    batches.add(batch);
  }

  void remove(Batch batch) {
    batches.remove(batch);
  }

  /** Returns whether an endpoint is asked anyway, and its message has room for so many rows. */
  boolean takesMore(int endpoint, int rows) {
    int now = unsent[endpoint].rows();
    return now > 0 && now + rows <= RowServer.MOST_TOGETHER;
  }

  /** Takes a request, and sends what fills a message. */
  void ask(int endpoint, Fetch fetch) {
    Fetches some = unsent[endpoint];
    if (!some.isEmpty() && some.rows() + fetch.count() > RowServer.MOST_TOGETHER) {
      fleet.endpoints().get(endpoint).send(some);
    }
    some.add(fetch);
    if (some.rows() >= RowServer.MOST_TOGETHER) {
      fleet.endpoints().get(endpoint).send(some);
    }
  }

  /** Sends all requests. */
  void send() {
    for (int i = 0; i < unsent.length; i++) {
      if (!unsent[i].isEmpty()) {
        fleet.endpoints().get(i).send(unsent[i]);
      }
    }
  }

  /** Whose time is over looks for itself, if its thread has not given it up. */
  private boolean isInTime(Batch batch) {
    return looked - batch.deadline() < 0;
  }

  /**
   * Looks what has come for any batch, and asks on.
   *
   * @return until when there is nothing to do, at most
   */
  long poll(Batch own, long now) {
    looked = now;
    long until = own.poll(now);
    for (int i = 0; i < batches.size(); i++) {
      Batch other = batches.get(i);
      if (other != own && isInTime(other)) {
        long next = other.poll(now);
        until = next - until < 0 ? next : until;
      }
    }
    return until;
  }

  @Override
  public boolean hasCome() {
    for (int i = 0; i < batches.size(); i++) {
      Batch batch = batches.get(i);
      if (isInTime(batch) && batch.hasCome()) {
        return true;
      }
    }
    return false;
  }

  /** Returns what drives all requests under way, or null if there is no such thing. */
  @Nullable Driver driver() {
    Driver all = null;
    for (int i = 0; i < batches.size(); i++) {
      Batch batch = batches.get(i);
      if (batch.isWaiting()) {
        all = batch.driver(all);
        if (all == null) {
          return null;
        }
      }
    }
    return all;
  }
}
