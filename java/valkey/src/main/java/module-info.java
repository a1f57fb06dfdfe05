import org.jspecify.annotations.NullMarked;

/** Rows of tables in Valkey or Redis. */
@NullMarked
module io.engram4j.valkey {
  requires io.engram4j.remote;
  requires org.apache.commons.pool2;
  requires redis.clients.jedis;
  requires static transitive org.jspecify;

  exports io.engram4j.valkey;

  provides io.engram4j.remote.RowEngine with
      io.engram4j.valkey.ValkeyEngine;
}
