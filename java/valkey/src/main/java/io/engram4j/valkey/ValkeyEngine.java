package io.engram4j.valkey;

import io.engram4j.remote.Addresses;
import io.engram4j.remote.Manifest;
import io.engram4j.remote.RemoteOptions;
import io.engram4j.remote.RowEngine;
import io.engram4j.remote.RowServer;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.function.LongConsumer;
import org.apache.commons.pool2.impl.GenericObjectPoolConfig;
import redis.clients.jedis.Connection;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.RedisClient;
import redis.clients.jedis.RedisClusterClient;
import redis.clients.jedis.UnifiedJedis;
import redis.clients.jedis.exceptions.JedisException;

/**
 * Valkey or Redis, alone or a cluster, which the server tells itself. Through Jedis: batches of 48
 * rows took it 99 us where a bare socket took 92 and Lettuce 287; 49,152 rows went at 0.74, 0.72
 * and 0.32 million a second (docs/remote.md).
 */
public final class ValkeyEngine implements RowEngine {
  private static final Duration LOADING = Duration.ofSeconds(30);
  private static final Duration TOPOLOGY = Duration.ofSeconds(1);

  /** For the service loader. */
  public ValkeyEngine() {}

  @Override
  public List<String> schemes() {
    return ValkeyAddress.SCHEMES;
  }

  @Override
  public RowServer connect(String address, RemoteOptions options) throws IOException {
    ValkeyAddress parsed = ValkeyAddress.of(address, options.deadline());
    String shown = Addresses.shown(address);
    // a node that freezes must not take the time that its replica needs to be elected
    ValkeyAddress quick = ValkeyAddress.of(address, options.deadline().dividedBy(4));
    UnifiedJedis client = client(shown, parsed, quick, options.connections());
    boolean shows = !parsed.config().isSsl() && !(client instanceof RedisClusterClient);
    DirectReads direct =
        shows ? new DirectReads(parsed.host(), parsed.config(), options.connections()) : null;
    return new ValkeyServer(shown, parsed.model(), client, direct, options.connections());
  }

  @Override
  public void load(
      String address, Manifest manifest, RowReader rows, int threads, LongConsumer progress)
      throws IOException {
    ValkeyAddress parsed = ValkeyAddress.of(address, LOADING);
    String shown = Addresses.shown(address);
    try (UnifiedJedis client = client(shown, parsed, parsed, threads)) {
      new ValkeyLoader(shown, parsed.model(), client, manifest, rows).load(threads, progress);
    }
  }

  /** Connects, and asks whether this is one of a cluster. */
  private static UnifiedJedis client(
      String shown, ValkeyAddress parsed, ValkeyAddress ofCluster, int connections)
      throws IOException {
    GenericObjectPoolConfig<Connection> pool = new GenericObjectPoolConfig<>();
    pool.setMaxTotal(connections + 1); // one asks what is served
    pool.setMaxIdle(connections + 1);
    try {
      boolean cluster;
      try (Jedis probe = new Jedis(parsed.host(), parsed.config())) {
        cluster = probe.info("cluster").contains("cluster_enabled:1");
        // a client that fails as it is made leaves a thread behind, so what it needs is asked first
        if (cluster && !probe.clusterInfo().contains("cluster_slots_assigned:16384")) {
          throw new IOException(shown + " is of a cluster that has not all slots assigned");
        }
      }
      return cluster
          ? RedisClusterClient.builder()
              .nodes(Set.of(parsed.host()))
              .clientConfig(ofCluster.config())
              .poolConfig(pool)
              .topologyRefreshPeriod(TOPOLOGY)
              .maxTotalRetriesDuration(TOPOLOGY)
              .build()
          : RedisClient.builder()
              .hostAndPort(parsed.host())
              .clientConfig(parsed.config())
              .poolConfig(pool)
              .build();
    } catch (JedisException e) {
      throw new IOException(shown + ": " + e.getMessage(), e);
    }
  }
}
