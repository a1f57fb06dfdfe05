package io.engram4j.valkey;

import io.engram4j.remote.Fetch;
import io.engram4j.remote.Fetches;
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
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;
import redis.clients.jedis.AbstractPipeline;
import redis.clients.jedis.RedisClusterClient;
import redis.clients.jedis.Response;
import redis.clients.jedis.UnifiedJedis;
import redis.clients.jedis.exceptions.JedisException;

/** A connection to Valkey or Redis: a few threads, each with a pipeline at a time. */
final class ValkeyServer implements RowServer {
  /**
   * Rows of one request in a pipeline: replies of more would lie in the server's memory until they
   * are read.
   */
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
  public void start(Fetches fetches) {
    DirectReads some = direct;
    Fetch[] all = new Fetch[fetches.size()];
    int i = 0;
    int rows = 0;
    for (Fetch fetch = fetches.first(); fetch != null; fetch = fetches.after(fetch)) {
      all[i++] = fetch;
      rows += fetch.isAlone() ? fetch.count() : DirectReads.MOST_ROWS + 1;
    }
    if (some == null || rows > DirectReads.MOST_ROWS) {
      threads.execute(() -> run(all));
      begun(fetches);
      return;
    }
    DirectReads.Line line = some.take();
    if (line == null) {
      threads.execute(() -> runAndPrepare(all, some));
      begun(fetches);
      return;
    }
    boolean come = ask(all, some, line);
    begun(fetches);
    if (come) {
      finish(all, some, line);
    }
  }

  /** Takes requests out that end by themselves from now on. */
  private static void begun(Fetches fetches) {
    while (!fetches.isEmpty()) {
      fetches.remove();
    }
  }

  /** Asks on this thread, and looks for the rows for a while; else another thread takes them. */
  private boolean ask(Fetch[] all, DirectReads some, DirectReads.Line line) {
    try {
      int bytes = 0;
      for (Fetch fetch : all) {
        RowValues values = values(fetch);
        line.ask(fetch, values);
        bytes += fetch.count() * values.replyBytes();
      }
      line.flush();
      if (line.hasCome(bytes)) {
        return true;
      }
      threads.execute(() -> finish(all, some, line));
      return false;
    } catch (RuntimeException | Error e) {
      some.failed(line);
      throw e;
    }
  }

  /** Reads rows, and makes a connection for the small requests that come later. */
  private void runAndPrepare(Fetch[] fetches, DirectReads some) {
    run(fetches);
    try {
      some.makeOne();
    } catch (JedisException e) {
      return; // requests fail by themselves, and say why
    }
  }

  /** Reads what was asked for on a connection. */
  private void finish(Fetch[] fetches, DirectReads some, DirectReads.Line line) {
    end(
        fetches,
        () -> {
          int rows = 0;
          for (Fetch fetch : fetches) {
            rows += fetch.count();
          }
          List<Object> replies;
          try {
            replies = line.getMany(rows);
          } catch (RuntimeException | Error e) {
            some.failed(line);
            throw e;
          }
          some.add(line);
          return replies::get;
        });
  }

  /** Gives rows that were asked for, by their place among all. */
  private interface Replies {
    Object get(int index);
  }

  /** Asks for rows, and waits for them. */
  private interface Asking {
    Replies ask() throws IOException;
  }

  /** Asks for all rows of some requests at once; each ends with its rows or with what failed. */
  private void end(Fetch[] fetches, Asking asking) {
    int ended = 0;
    try {
      Replies replies = asking.ask();
      CRC32C crc = new CRC32C();
      int at = 0;
      while (ended < fetches.length) {
        Fetch fetch = fetches[ended];
        Throwable failure = null;
        try {
          RowValues values = values(fetch);
          for (int i = 0; i < fetch.count(); i++) {
            take(fetch, values, i, replies.get(at + i), crc);
          }
        } catch (IOException | RuntimeException e) {
          failure = e; // a row that is gone or damaged; the others' are here
        }
        at += fetch.count();
        ended++;
        if (failure == null) {
          fetch.done();
        } else {
          fetch.failed(failure);
        }
      }
    } catch (IOException | RuntimeException e) {
      fail(fetches, ended, e);
    } catch (Error e) {
      fail(fetches, ended, e);
      throw e;
    }
  }

  private static void fail(Fetch[] fetches, int from, Throwable why) {
    for (int i = from; i < fetches.length; i++) {
      fetches[i].failed(why);
    }
  }

  private void run(Fetch[] fetches) {
    if (fetches.length == 1 && fetches[0].count() > PIPELINE) {
      runLarge(fetches[0]);
      return;
    }
    end(
        fetches,
        () -> {
          requireWanted(fetches);
          List<Response<byte[]>> replies = new ArrayList<>(PIPELINE);
          try (AbstractPipeline pipeline = pipeline()) {
            for (Fetch fetch : fetches) {
              ask(pipeline, fetch, 0, fetch.count(), replies);
            }
            pipeline.sync();
          }
          return index -> replies.get(index).get();
        });
  }

  private void runLarge(Fetch fetch) {
    try {
      RowValues values = values(fetch);
      CRC32C crc = new CRC32C();
      List<Response<byte[]>> replies = new ArrayList<>(PIPELINE);
      for (int from = 0; from < fetch.count(); from += PIPELINE) {
        requireWanted(fetch);
        int to = Math.min(fetch.count(), from + PIPELINE);
        replies.clear();
        try (AbstractPipeline pipeline = pipeline()) {
          ask(pipeline, fetch, from, to, replies);
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

  /** Throws if nobody waits for any of these any more. */
  private void requireWanted(Fetch... fetches) throws IOException {
    long now = System.nanoTime();
    for (Fetch fetch : fetches) {
      if (!fetch.isAbandoned() && now - fetch.deadline() < 0) {
        return;
      }
    }
    throw new IOException(address + ": the deadline is over");
  }

  private void ask(
      AbstractPipeline pipeline, Fetch fetch, int from, int to, List<Response<byte[]>> replies) {
    RowValues values = values(fetch);
    for (int i = from; i < to; i++) {
      long row = fetch.id(i);
      long at = values.offsetOf(row);
      replies.add(pipeline.getrange(values.key(values.valueOf(row)), at, at + values.stride() - 1));
    }
  }

  private AbstractPipeline pipeline() {
    return client instanceof RedisClusterClient cluster
        ? cluster.pipelined(nodes)
        : client.pipelined();
  }

  private RowValues values(Fetch fetch) {
    SlicedTable table = fetch.table();
    String key = fetch.generation() + ":" + table.layer();
    RowValues known = layouts.get(key);
    if (known == null) {
      known = new RowValues(model, fetch.generation(), table);
      layouts.put(key, known);
    }
    return known;
  }

  private void take(Fetch fetch, RowValues values, int index, Object reply, CRC32C crc)
      throws IOException {
    if (!(reply instanceof byte[] row)) {
      throw new IOException(address + ": " + reply);
    }
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
