package io.engram4j.valkey;

import io.engram4j.remote.Manifest;
import io.engram4j.remote.Manifest.SlicedTable;
import io.engram4j.remote.RowEngine.RowReader;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongConsumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.CRC32C;
import redis.clients.jedis.RedisClusterClient;
import redis.clients.jedis.UnifiedJedis;
import redis.clients.jedis.exceptions.JedisException;

/**
 * Puts rows into values, value by value, and then the manifest, from which on they are served. A
 * value that is there already, of its length and with the right checksum behind its first and last
 * row, is left alone: keys have the generation in their names, so it is of the same rows.
 */
final class ValkeyLoader {
  private static final Pattern MEMORY =
      Pattern.compile("(used_memory|maxmemory|maxmemory_policy):(\\S+)");

  private final String address;
  private final String model;
  private final UnifiedJedis client;
  private final Manifest manifest;
  private final RowReader rows;

  ValkeyLoader(
      String address, String model, UnifiedJedis client, Manifest manifest, RowReader rows) {
    this.address = address;
    this.model = model;
    this.client = client;
    this.manifest = manifest;
    this.rows = rows;
  }

  void load(int threads, LongConsumer progress) throws IOException {
    requireRoom();
    for (SlicedTable table : manifest.tables()) {
      RowValues values = new RowValues(model, manifest.generation(), table);
      AtomicLong next = new AtomicLong();
      List<Future<?>> shares = new ArrayList<>();
      try (ExecutorService executor = Executors.newFixedThreadPool(threads)) {
        for (int i = 0; i < threads; i++) {
          shares.add(
              executor.submit(() -> {
                send(table, values, next, progress);
                return null;
              }));
        }
        for (Future<?> share : shares) {
          await(share, executor);
        }
      }
    }
    try {
      client.set(RowValues.manifestKey(model), manifest.toJson().getBytes(StandardCharsets.UTF_8));
    } catch (JedisException e) {
      throw failed(e);
    }
  }

  private void await(Future<?> share, ExecutorService executor) throws IOException {
    try {
      share.get();
    } catch (ExecutionException e) {
      executor.shutdownNow();
      Throwable cause = e.getCause();
      throw cause instanceof IOException io ? io : failed(cause == null ? e : cause);
    } catch (InterruptedException e) {
      executor.shutdownNow();
      Thread.currentThread().interrupt();
      throw new IOException("loading was interrupted", e);
    }
  }

  private IOException failed(Throwable why) {
    return new IOException(address + ": " + why.getMessage(), why);
  }

  private void send(SlicedTable table, RowValues values, AtomicLong next, LongConsumer progress)
      throws IOException {
    CRC32C crc = new CRC32C();
    try (Arena arena = Arena.ofConfined()) {
      int rowBytes = table.rowBytes();
      MemorySegment buffer = arena.allocate((long) values.count(0) * rowBytes, 64);
      for (long value = next.getAndIncrement();
          value < values.values() && !Thread.currentThread().isInterrupted();
          value = next.getAndIncrement()) {
        int count = values.count(value);
        MemorySegment some = buffer.asSlice(0, (long) count * rowBytes);
        byte[] key = values.key(value);
        if (!isThere(values, value, key, crc)) {
          rows.read(table, values.first(value), count, some);
          client.set(key, values.value(value, some));
          if (!isThere(values, value, key, crc)) {
            throw new IOException(
                address + " does not keep rows: " + new String(key, StandardCharsets.UTF_8));
          }
        }
        progress.accept(some.byteSize());
      }
    }
  }

  private boolean isThere(RowValues values, long value, byte[] key, CRC32C crc) {
    int stride = values.stride();
    long last = values.count(value) - 1L;
    if (client.strlen(key) != (last + 1) * stride) {
      return false;
    }
    for (long row : new long[] {0, last}) {
      byte[] bytes = client.getrange(key, row * stride, (row + 1) * stride - 1);
      if (bytes.length != stride || !values.isRow(crc, bytes, 0, values.first(value) + row)) {
        return false;
      }
    }
    return true;
  }

  /** Of one server; a cluster's nodes have limits of their own. */
  private void requireRoom() throws IOException {
    if (client instanceof RedisClusterClient) {
      return;
    }
    long used = 0;
    long most = 0;
    String policy = "noeviction";
    try {
      Matcher matcher = MEMORY.matcher(client.info("memory"));
      while (matcher.find()) {
        switch (matcher.group(1)) {
          case "used_memory" -> used = Long.parseLong(matcher.group(2));
          case "maxmemory" -> most = Long.parseLong(matcher.group(2));
          default -> policy = matcher.group(2);
        }
      }
    } catch (JedisException e) {
      throw failed(e);
    }
    if (most > 0 && !policy.equals("noeviction")) {
      throw new IOException(
          address + " evicts keys (maxmemory-policy " + policy + "); rows need noeviction");
    }
    if (most > 0 && !isLoaded() && used + manifest.bytes() > most) {
      throw new IOException(
          address
              + " has "
              + Math.max(0, most - used)
              + " bytes left of its maxmemory of "
              + most
              + ", but the rows take "
              + manifest.bytes());
    }
  }

  /** Whether some of the rows are there, and so counted as used. */
  private boolean isLoaded() {
    SlicedTable first = manifest.tables().getFirst();
    return client.strlen(new RowValues(model, manifest.generation(), first).key(0)) > 0;
  }
}
