package io.engram4j.remote;

import java.time.Duration;

/**
 * How long remote tables wait, and for what. Immutable.
 *
 * @param deadline after which a batch of rows fails, however large it is
 * @param hedgeFloor before which no second replica is asked; later it is after twice the 99th
 *     percentile of the first
 * @param refresh how often endpoints are asked what they serve, and lost ones connected anew
 * @param failures in a row after which an endpoint is left alone until it answers again
 * @param connections of an endpoint, where its engine takes several
 * @param pinned whether rows stay of the generation that was served at first, so that whatever is
 *     computed from them may be kept; else a new one is taken when all of it is served
 */
public record RemoteOptions(
    Duration deadline,
    Duration hedgeFloor,
    Duration refresh,
    int failures,
    int connections,
    boolean pinned) {
  public RemoteOptions {
    if (!isPositive(deadline) || !isPositive(hedgeFloor) || !isPositive(refresh)) {
      throw new IllegalArgumentException(
          "deadline " + deadline + ", hedge " + hedgeFloor + ", refresh " + refresh);
    }
    if (failures < 1 || connections < 1 || connections > 64) {
      throw new IllegalArgumentException(
          failures + " failures, " + connections + " connections; the latter are 1 to 64");
    }
  }

  private static boolean isPositive(Duration duration) {
    return !duration.isNegative() && !duration.isZero();
  }

  /** Returns the defaults: 2 s, hedged after 1 ms at the earliest, refreshed every second. */
  public static RemoteOptions defaults() {
    return new RemoteOptions(
        Duration.ofSeconds(2), Duration.ofMillis(1), Duration.ofSeconds(1), 3, 2, false);
  }

  /** Returns the same with another deadline. */
  public RemoteOptions deadline(Duration other) {
    return new RemoteOptions(other, hedgeFloor, refresh, failures, connections, pinned);
  }

  /** Returns the same with another earliest time to ask a second replica. */
  public RemoteOptions hedgeFloor(Duration other) {
    return new RemoteOptions(deadline, other, refresh, failures, connections, pinned);
  }

  /** Returns the same, asking endpoints at other times what they serve. */
  public RemoteOptions refresh(Duration other) {
    return new RemoteOptions(deadline, hedgeFloor, other, failures, connections, pinned);
  }

  /** Returns the same with another number of connections. */
  public RemoteOptions connections(int other) {
    return new RemoteOptions(deadline, hedgeFloor, refresh, failures, other, pinned);
  }

  /** Returns the same, staying with the generation that is served at first. */
  public RemoteOptions pin() {
    return new RemoteOptions(deadline, hedgeFloor, refresh, failures, connections, true);
  }
}
