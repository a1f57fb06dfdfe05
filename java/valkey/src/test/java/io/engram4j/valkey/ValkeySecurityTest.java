package io.engram4j.valkey;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.hf.EngramModels;
import io.engram4j.remote.RemoteOptions;
import io.engram4j.remote.Sharder;
import io.engram4j.remote.SlicedTables;
import io.engram4j.tck.RandomModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.api.io.TempDir;

/**
 * TLS and users are the server's and Jedis's own; who has the wrong certificate or password gets no
 * rows. A process of its own for each, since a JVM reads its trust store once.
 */
@EnabledIf("io.engram4j.valkey.RedisProcess#isInstalled")
class ValkeySecurityTest {
  @TempDir private Path directory;
  private Path model;

  @BeforeEach
  void write() throws Exception {
    model = Files.createDirectory(directory.resolve("model"));
    RandomModel.small(32, 2, List.of(1)).write(model, bytes -> {});
    for (String authority : new String[] {"ours", "other"}) {
      run(
          "openssl",
          "req",
          "-x509",
          "-newkey",
          "rsa:2048",
          "-nodes",
          "-days",
          "2",
          "-subj",
          "/CN=" + authority,
          "-keyout",
          authority + ".key",
          "-out",
          authority + ".crt");
    }
    certificate("right", "ours", "subjectAltName=IP:127.0.0.1", "2");
    certificate("elsewhere", "ours", "subjectAltName=DNS:elsewhere.example", "2");
    run(
        "keytool",
        "-importcert",
        "-noprompt",
        "-alias",
        "ours",
        "-file",
        "ours.crt",
        "-keystore",
        "trust.p12",
        "-storetype",
        "PKCS12",
        "-storepass",
        "secret");
  }

  private void certificate(String name, String authority, String names, String days)
      throws Exception {
    Files.writeString(directory.resolve(name + ".ext"), names);
    run(
        "openssl",
        "req",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=" + name,
        "-keyout",
        name + ".key",
        "-out",
        name + ".csr");
    run(
        "openssl",
        "x509",
        "-req",
        "-in",
        name + ".csr",
        "-CA",
        authority + ".crt",
        "-CAkey",
        authority + ".key",
        "-CAcreateserial",
        "-days",
        days,
        "-extfile",
        name + ".ext",
        "-out",
        name + ".crt");
  }

  private void run(String... command) throws Exception {
    List<String> all = new ArrayList<>(List.of(command));
    if (command[0].equals("keytool")) {
      all.set(0, Path.of(System.getProperty("java.home"), "bin", "keytool").toString());
    }
    Path log = directory.resolve("tools.txt");
    Process process =
        new ProcessBuilder(all)
            .directory(directory.toFile())
            .redirectErrorStream(true)
            .redirectOutput(log.toFile())
            .start();
    assertEquals(0, process.waitFor(), all + ": " + Files.readString(log));
  }

  private RedisProcess start(String name, String certificate) throws Exception {
    return RedisProcess.start(
        directory.resolve(name),
        "--tls-cert-file",
        directory.resolve(certificate + ".crt").toString(),
        "--tls-key-file",
        directory.resolve(certificate + ".key").toString(),
        "--tls-ca-cert-file",
        directory.resolve("ours.crt").toString(),
        "--tls-auth-clients",
        "no",
        "--user",
        "default",
        "off",
        "--user",
        "engram",
        "on",
        ">word",
        "~engram:*",
        "+@all");
  }

  /** Loads and reads in another process; returns what it says. */
  private String client(String address, String trust) throws Exception {
    Path output = directory.resolve("client.txt");
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Djavax.net.ssl.trustStore=" + directory.resolve(trust),
                "-Djavax.net.ssl.trustStorePassword=secret",
                "-cp",
                System.getProperty(
                    "surefire.test.class.path", System.getProperty("java.class.path")),
                Client.class.getName(),
                model.toString(),
                address)
            .redirectErrorStream(true)
            .redirectOutput(output.toFile())
            .start();
    process.waitFor();
    return Files.readString(output);
  }

  /** What a user's process does. */
  static final class Client {
    private Client() {}

    public static void main(String[] args) throws IOException {
      try {
        new Sharder(EngramModels.read(Path.of(args[0])), "m", "1", 1).load(args[1], 1, bytes -> {});
        RemoteOptions options = RemoteOptions.defaults().deadline(Duration.ofSeconds(5));
        try (SlicedTables tables = SlicedTables.connect(args[1], options)) {
          System.out.println("served " + tables.manifest().model());
        }
      } catch (IOException e) {
        System.out.println("refused: " + e.getMessage());
      }
    }
  }

  @Test
  void whoHasTheWrongCertificateOrPasswordGetsNothing() throws Exception {
    run(
        "keytool",
        "-importcert",
        "-noprompt",
        "-alias",
        "other",
        "-file",
        "other.crt",
        "-keystore",
        "other.p12",
        "-storetype",
        "PKCS12",
        "-storepass",
        "secret");
    try (RedisProcess redis = start("right", "right")) {
      String host = "127.0.0.1:" + redis.port();
      assertTrue(client("rediss://engram:word@" + host, "trust.p12").contains("served m"));
      for (String[] wrong :
          new String[][] {
            {"rediss://engram:word@" + host, "other.p12"}, // an authority that is not trusted
            {"rediss://engram:wrong@" + host, "trust.p12"},
            {"rediss://" + host, "trust.p12"}, // nobody
            {"redis://engram:word@" + host, "trust.p12"} // without TLS
          }) {
        String said = client(wrong[0], wrong[1]);
        assertTrue(said.contains("refused: ") && !said.contains("served"), wrong[0] + said);
        assertTrue(!said.contains("word@") && !said.contains("wrong@"), "a password: " + said);
      }
    }
    try (RedisProcess redis = start("elsewhere", "elsewhere")) {
      String said = client("rediss://engram:word@127.0.0.1:" + redis.port(), "trust.p12");
      assertTrue(said.contains("refused: "), said);
    }
  }
}
