package io.engram4j.remote;

import java.util.concurrent.atomic.LongAdder;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Counts what went wrong and what was done about it, and tells the flight recorder. Thread-safe.
 */
final class RemoteStatistics {
  private static final Logger log = LoggerFactory.getLogger(RemoteStatistics.class);

  private final LongAdder hedges = new LongAdder();
  private final LongAdder failures = new LongAdder();

  void hedged(int layer, int slice, Endpoint slow, Endpoint other) {
    hedges.increment();
    RemoteHedgeEvent event = new RemoteHedgeEvent();
    event.layer = layer;
    event.slice = slice;
    event.slow = slow.address();
    event.other = other.address();
    event.commit();
  }

  void failed(int slice, Endpoint endpoint, Throwable why) {
    failures.increment();
    log.debug("slice {}: {} failed", slice, endpoint.address(), why);
    RemoteFailureEvent event = new RemoteFailureEvent();
    event.slice = slice;
    event.endpoint = endpoint.address();
    event.why = why.toString();
    event.commit();
  }

  long hedges() {
    return hedges.sum();
  }

  long failures() {
    return failures.sum();
  }
}
