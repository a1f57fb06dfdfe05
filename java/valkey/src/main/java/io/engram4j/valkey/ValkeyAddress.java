package io.engram4j.valkey;

import io.engram4j.remote.Addresses;
import java.net.URI;
import java.net.URISyntaxException;
import java.time.Duration;
import java.util.List;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.JedisClientConfig;
import redis.clients.jedis.SslOptions;

/**
 * An address such as {@code rediss://user:password@host:6379/0?model=NAME}: what Jedis takes of it,
 * and the model whose rows are meant, where one server has those of several. Certificates are
 * checked as the JVM's own settings have it ({@code javax.net.ssl.trustStore} and its kin).
 */
record ValkeyAddress(HostAndPort host, JedisClientConfig config, String model) {
  static final List<String> SCHEMES = List.of("redis", "rediss", "valkey", "valkeys");
  private static final List<String> OF_TLS = List.of("rediss", "valkeys");
  private static final int PORT = 6379;

  /**
   * Reads an address.
   *
   * @param timeout of connecting and of each reply
   * @throws IllegalArgumentException if it is not one
   */
  static ValkeyAddress of(String address, Duration timeout) {
    URI uri;
    try {
      uri = new URI(address);
    } catch (URISyntaxException e) {
      throw new IllegalArgumentException( // the cause has the password
          Addresses.shown(address) + " is not an address: " + e.getReason());
    }
    String host = uri.getHost();
    String path = uri.getPath() == null ? "" : uri.getPath().replaceFirst("^/", "");
    String query = uri.getQuery() == null ? "" : uri.getQuery();
    if (host == null || !path.matches("\\d{0,4}") || !query.matches("(model=[^:&]+)?")) {
      throw new IllegalArgumentException(
          Addresses.shown(address)
              + " is not like redis://[user:password@]host[:port][/database][?model=NAME]");
    }
    int millis = Math.toIntExact(Math.min(timeout.toMillis() + 1, Integer.MAX_VALUE));
    DefaultJedisClientConfig.Builder config =
        DefaultJedisClientConfig.builder()
            .connectionTimeoutMillis(millis)
            .socketTimeoutMillis(millis)
            .database(path.isEmpty() ? 0 : Integer.parseInt(path));
    if (OF_TLS.contains(uri.getScheme())) {
      config.sslOptions(SslOptions.defaults());
    }
    String user = uri.getUserInfo();
    if (user != null) {
      int colon = user.indexOf(':');
      if (colon < 0) {
        throw new IllegalArgumentException(
            Addresses.shown(address) + " has a user without a colon; is it :password@host?");
      }
      if (colon > 0) {
        config.user(user.substring(0, colon));
      }
      config.password(user.substring(colon + 1));
    }
    int port = uri.getPort() < 0 ? PORT : uri.getPort();
    String model = query.isEmpty() ? "" : query.substring("model=".length());
    return new ValkeyAddress(new HostAndPort(host, port), config.build(), model);
  }
}
