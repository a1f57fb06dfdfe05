package io.engram4j.valkey;

import io.engram4j.remote.Fetch;
import io.engram4j.remote.Manifest;
import io.engram4j.remote.Manifest.SlicedTable;
import io.engram4j.remote.RowServer;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;
import redis.clients.jedis.AbstractPipeline;
import redis.clients.jedis.RedisClusterClient;
import redis.clients.jedis.Response;
import redis.clients.jedis.UnifiedJedis;
import redis.clients.jedis.exceptions.JedisException;

/** A connection to Valkey or Redis: a few threads, each with a pipeline at a time. */
final class ValkeyServer implements RowServer {
  /** Rows in a pipeline: replies of more would lie in the server's memory until they are read. */
  private static final int PIPELINE = 1024;

  private final String address;
  private final String model;
  private final UnifiedJedis client;
  private final @Nullable DirectReads direct; // where a socket tells what has come
  private final ExecutorService threads;
  private final ExecutorService nodes; // of a cluster, asked at once
  private final Map<String, RowValues> layouts = new ConcurrentHashMap<>();
  private volatile @Nullable Manifest served;

  /**
   * A connection.
   *
   * @param direct for small requests, or null: a cluster has no one node, TLS hides what has come
   */
  ValkeyServer(
      String address,
      String model,
      UnifiedJedis client,
      @Nullable DirectReads direct,
      int connections) {
    this.address = address;
    this.model = model;
    this.client = client;
    this.direct = direct;
    Thread.Builder.OfPlatform builder =
        Thread.ofPlatform().daemon().name("engram-valkey-" + address + "-", 0);
    this.threads = Executors.newFixedThreadPool(connections, builder.factory());
    this.nodes = Executors.newThreadPerTaskExecutor(Thread.ofVirtual().factory());
  }

  @Override
  public Manifest manifest() throws IOException {
    byte[] json;
    try {
      json = client.get(RowValues.manifestKey(model));
    } catch (JedisException e) {
      throw new IOException(address + ": " + e.getMessage(), e);
    }
    if (json == null) {
      throw new IOException(
          address
              + " has no key "
              + new String(RowValues.manifestKey(model), StandardCharsets.UTF_8)
              + ": load rows with engram shard --into");
    }
    Manifest before = served;
    Manifest now = Manifest.parse(address, new String(json, StandardCharsets.UTF_8));
    served = now.equals(before) ? before : now;
    return now;
  }

  @Override
  public boolean serves(int layer, int slice) {
    Manifest now = served;
    return now != null && now.tables().stream().anyMatch(table -> table.layer() == layer);
  }

  @Override
  public void start(Fetch fetch) {
    DirectReads some = direct;
    boolean few = fetch.isAlone() && fetch.count() <= DirectReads.MOST_ROWS;
    DirectReads.Line line = some == null || !few ? null : some.take();
    if (some == null || line == null) {
      execute(fetch, some == null || !few ? () -> run(fetch) : () -> runAndPrepare(fetch, some));
      return;
    }
    boolean come;
    RowValues values;
    try {
      values = values(fetch.generation(), fetch.table());
      line.send(fetch, values);
      come = line.hasCome(fetch.count() * values.replyBytes());
    } catch (RuntimeException | Error e) {
      some.failed(line);
      throw e;
    }
    if (come) {
      finish(fetch, values, some, line);
    } else if (!execute(fetch, () -> finish(fetch, values, some, line))) {
      some.failed(line);
    }
  }

  /** Does the same, and makes a connection for the small requests that come later. */
  private void runAndPrepare(Fetch fetch, DirectReads some) {
    run(fetch);
    try {
      some.makeOne();
    } catch (JedisException e) {
      return; // requests fail by themselves, and say why
    }
  }

  /** Reads what was asked for on a connection. */
  private void finish(Fetch fetch, RowValues values, DirectReads some, DirectReads.Line line) {
    try {
      List<Object> replies;
      try {
        replies = line.getMany(fetch.count());
      } catch (RuntimeException | Error e) {
        some.failed(line);
        throw e;
      }
      some.add(line);
      CRC32C crc = new CRC32C();
      for (int i = 0; i < fetch.count(); i++) {
        if (!(replies.get(i) instanceof byte[] row)) {
          throw new IOException(address + ": " + replies.get(i));
        }
        take(fetch, values, i, row, crc);
      }
      fetch.done();
    } catch (IOException | RuntimeException e) {
      fetch.failed(e);
    } catch (Error e) {
      fetch.failed(e);
      throw e;
    }
  }

  private boolean execute(Fetch fetch, Runnable work) {
    try {
      threads.execute(work);
      return true;
    } catch (RejectedExecutionException e) {
      fetch.failed(new IOException(address + " was closed", e));
      return false;
    }
  }

  private void run(Fetch fetch) {
    try {
      RowValues values = values(fetch.generation(), fetch.table());
      CRC32C crc = new CRC32C();
      List<Response<byte[]>> replies = new ArrayList<>(PIPELINE);
      for (int from = 0; from < fetch.count(); from += PIPELINE) {
        if (fetch.isAbandoned() || System.nanoTime() - fetch.deadline() >= 0) {
          throw new IOException(address + ": the deadline is over");
        }
        int to = Math.min(fetch.count(), from + PIPELINE);
        replies.clear();
        try (AbstractPipeline pipeline = pipeline()) {
          for (int i = from; i < to; i++) {
            long row = fetch.id(i);
            long at = values.offsetOf(row);
            replies.add(
                pipeline.getrange(values.key(values.valueOf(row)), at, at + values.stride() - 1));
          }
          pipeline.sync();
        }
        for (int i = from; i < to; i++) {
          take(fetch, values, i, replies.get(i - from).get(), crc);
        }
      }
      fetch.done();
    } catch (IOException | RuntimeException e) {
      fetch.failed(e);
    } catch (Error e) {
      fetch.failed(e);
      throw e;
    }
  }

  private AbstractPipeline pipeline() {
    return client instanceof RedisClusterClient cluster
        ? cluster.pipelined(nodes)
        : client.pipelined();
  }

  private RowValues values(String generation, SlicedTable table) {
    String key = generation + ":" + table.layer();
    RowValues known = layouts.get(key);
    if (known == null) {
      known = new RowValues(model, generation, table);
      layouts.put(key, known);
    }
    return known;
  }

  private void take(Fetch fetch, RowValues values, int index, byte[] row, CRC32C crc)
      throws IOException {
    if (row.length != values.stride()) {
      throw new IOException(
          address
              + " gave "
              + row.length
              + " bytes for row "
              + fetch.id(index)
              + ", not "
              + values.stride()
              + ": its rows were deleted, or evicted for want of memory");
    }
    if (!values.isRow(crc, row, 0, fetch.id(index))) {
      throw new IOException(
          address + ": row " + fetch.id(index) + " is damaged, its checksum does not fit");
    }
    int bytes = fetch.table().rowBytes();
    MemorySegment.copy(row, 0, fetch.rows(), ValueLayout.JAVA_BYTE, (long) index * bytes, bytes);
  }

  @Override
  public void close() {
    threads.shutdown();
    nodes.shutdown();
    if (direct != null) {
      direct.close();
    }
    client.close();
  }
}
