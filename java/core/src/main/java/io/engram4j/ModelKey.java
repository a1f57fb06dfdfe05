package io.engram4j;

import io.engram4j.host.Digests;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.TokenMap;
import java.nio.ByteBuffer;
import java.util.List;

/**
 * Tells models apart whose snapshots do not fit each other: by vocabulary, hashing and shape, not
 * by weights, which snapshots of ids do not depend on. Thread-safe.
 */
final class ModelKey {
  private final EngramConfig config;
  private final TokenMap map;
  private volatile long key; // 0 until it is asked for: the map's digest takes a while

  ModelKey(EngramConfig config, TokenMap map) {
    this.config = config;
    this.map = map;
  }

  /** Returns the key, which is never 0. */
  long get() {
    long known = key;
    if (known == 0) {
      List<Object> parts =
          List.of(
              map.sha256(),
              config.hashing(),
              config.maxNgram(),
              config.headsPerNgram(),
              config.vocabSizes(),
              config.layerIds(),
              config.seed(),
              config.padTokenId(),
              config.hiddenSize(),
              config.branches(),
              config.convKernel(),
              config.convDilation(),
              config.layouts().isEmpty() ? "" : config.layouts());
      known = ByteBuffer.wrap(Digests.sha256(parts.toString())).getLong() | 1;
      key = known;
    }
    return known;
  }
}
