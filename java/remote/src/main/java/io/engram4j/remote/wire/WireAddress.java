package io.engram4j.remote.wire;

import java.io.IOException;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.NetworkInterface;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * {@code SCHEME://HOST:PORT?key=FILE}, and what else a transport takes.
 *
 * @param host a name, an address, or of a server an interface
 * @param port 0 for any
 * @param key that both sides know
 * @param settings the rest
 */
@SuppressWarnings("ArrayRecordComponent") // never compared
record WireAddress(String host, int port, byte[] key, Map<String, String> settings) {
  private static final byte[] NO_KEY = "engram".getBytes(StandardCharsets.US_ASCII);
  private static final int MOST_KEY_BYTES = 4096;

  /**
   * Reads an address.
   *
   * @throws IllegalArgumentException if it is none
   * @throws IOException if its key cannot be read
   */
  static WireAddress parse(String address) throws IOException {
    URI uri;
    try {
      uri = new URI(address);
    } catch (URISyntaxException e) {
      throw new IllegalArgumentException(address + " is no address: " + e.getReason(), e);
    }
    if (uri.getHost() == null || uri.getPort() < 0 || !uri.getRawPath().isEmpty()) {
      throw new IllegalArgumentException(
          address + " is no address; it wants SCHEME://HOST:PORT, and ?key=FILE perhaps");
    }
    Map<String, String> settings = new LinkedHashMap<>();
    String query = uri.getQuery();
    for (String part : query == null ? List.<String>of() : List.of(query.split("&"))) {
      int equals = part.indexOf('=');
      if (equals < 1) {
        throw new IllegalArgumentException(address + ": " + part + " is no NAME=VALUE");
      }
      settings.put(part.substring(0, equals), part.substring(equals + 1));
    }
    String key = settings.remove("key");
    return new WireAddress(
        uri.getHost(), uri.getPort(), key == null ? NO_KEY : key(Path.of(key)), settings);
  }

  private static byte[] key(Path file) throws IOException {
    if (!Files.isRegularFile(file) || Files.size(file) > MOST_KEY_BYTES) {
      throw new IOException(file + " is no file of a key, of at most " + MOST_KEY_BYTES + " bytes");
    }
    byte[] key = Files.readAllBytes(file);
    if (key.length < 16) {
      throw new IOException(file + " has a key of " + key.length + " bytes; 16 are the least");
    }
    return key;
  }

  /** Returns where a client connects to. */
  InetSocketAddress remote() throws IOException {
    InetSocketAddress address = new InetSocketAddress(host, port);
    if (address.isUnresolved()) {
      throw new IOException("there is no host " + host);
    }
    return address;
  }

  /**
   * Returns where a server listens.
   *
   * @param any whether it may listen at all interfaces
   */
  InetSocketAddress local(boolean any) throws IOException {
    InetAddress address;
    NetworkInterface named = NetworkInterface.getByName(host);
    if (named == null) {
      address = remote().getAddress();
    } else {
      List<InetAddress> own = named.inetAddresses().toList();
      address =
          own.stream()
              .filter(Inet4Address.class::isInstance)
              .findFirst()
              .or(() -> own.stream().findFirst())
              .orElseThrow(() -> new IOException("interface " + host + " has no address"));
    }
    if (address.isAnyLocalAddress() && !any) {
      throw new IllegalArgumentException(
          host
              + " is every interface of this machine, and rows go to whoever asks; name one, or say"
              + " that all of them are meant");
    }
    return new InetSocketAddress(address, port);
  }
}
