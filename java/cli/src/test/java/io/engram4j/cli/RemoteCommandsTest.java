package io.engram4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.engram4j.remote.Manifest;
import io.engram4j.tck.Golden;
import java.io.IOException;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.api.io.TempDir;

/** Cutting tables for other machines, and what is refused; java/valkey reads from real ones. */
class RemoteCommandsTest {
  @TempDir Path directory;
  private Path model = Path.of("");

  @BeforeEach
  void extract() throws IOException {
    Golden.extract(directory);
    model = directory.resolve("mini-v41");
  }

  @Test
  void slicesHaveAManifestAndWhatClientsNeed() throws IOException {
    Path out = directory.resolve("out");
    Cli.Result result =
        Cli.run(
            "shard",
            model.toString(),
            out.toString(),
            "--slices",
            "2",
            "--revision",
            "r7",
            "--endpoints",
            "redis://a,redis://b",
            "--json");
    assertEquals(0, result.exit(), result.err());
    JsonNode json = new ObjectMapper().readTree(result.out());
    Manifest manifest = Manifest.read(out);
    assertEquals(manifest.generation(), json.get("generation").asText());
    assertEquals(2 * manifest.tables().size(), json.get("slices").size());
    assertEquals("r7", manifest.revision());
    assertEquals("mini-v41", manifest.model());
    assertEquals(2, manifest.endpoints().size());
    for (String file : new String[] {"config.json", "model.safetensors", "tokenizer.json"}) {
      assertTrue(Files.exists(out.resolve(file)), file);
    }
    Cli.Result again = Cli.run("shard", model.toString(), out.toString(), "--slices", "2");
    assertEquals(0, again.exit(), again.err());
  }

  static boolean hasServer() throws InterruptedException {
    try {
      return new ProcessBuilder("redis-server", "--version").start().waitFor() == 0;
    } catch (IOException e) {
      return false;
    }
  }

  /** Starts it, and loads the model's rows. */
  private Process served(int port) throws Exception {
    Process redis =
        new ProcessBuilder(
                "redis-server",
                "--port",
                "" + port,
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--dir",
                directory.toString())
            .redirectErrorStream(true)
            .redirectOutput(directory.resolve("redis.txt").toFile())
            .start();
    for (int i = 0; i < 50 && redis.isAlive(); i++) {
      Cli.Result loaded = Cli.run("shard", model.toString(), "--into", "redis://127.0.0.1:" + port);
      if (loaded.exit() == 0) {
        return redis;
      }
      Thread.sleep(100);
    }
    redis.destroyForcibly().waitFor();
    throw new AssertionError(Files.readString(directory.resolve("redis.txt")));
  }

  @Test
  @EnabledIf("hasServer")
  void everyCommandThatOpensAModelTakesRowsOfARealServer() throws Exception {
    int port;
    try (ServerSocket free = new ServerSocket(0)) {
      port = free.getLocalPort();
    }
    String text = Files.writeString(directory.resolve("text.txt"), "the whale").toString();
    Process redis = served(port);
    try {
      String address = "redis://127.0.0.1:" + port;
      JsonNode doctor = json("doctor", "--remote", address, "--json").get("remote");
      assertEquals("mini-v41", doctor.get("model").asText());
      assertEquals(1, doctor.get("endpoints").size());
      JsonNode plan = json("plan", model.toString(), "--remote", address, "--json");
      assertTrue(plan.get("fetch_ms_per_token").asDouble() > 0);
      JsonNode run = json("run", model.toString(), "--file", text, "--remote", address, "--json");
      JsonNode local = json("run", model.toString(), "--file", text, "--json");
      assertEquals(local.get("digest"), run.get("digest"));
      assertTrue(run.get("endpoints").get(0).get("requests").asInt() > 0);
      assertTrue(
          json("verify", model.toString(), "--remote", address, "--json")
              .get("passed")
              .asBoolean());
    } finally {
      redis.destroyForcibly().waitFor();
    }
  }

  static boolean hasUcx() throws IOException {
    try (java.util.stream.Stream<Path> files = Files.walk(Path.of("/usr/lib"), 2)) {
      return files.anyMatch(file -> file.endsWith("libucp.so.0"));
    }
  }

  /** Serves the files of all slices, as a shell would name them, and returns the process. */
  private Process serving(String listen, Path out, Path slices) throws Exception {
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                System.getProperty("java.class.path"),
                Main.class.getName(),
                "serve"));
    try (Stream<Path> files = Files.list(slices)) {
      files.filter(f -> f.toString().endsWith(".rows")).map(Path::toString).forEach(command::add);
    }
    command.addAll(List.of("--listen", listen, "--json"));
    Process server =
        new ProcessBuilder(command)
            .redirectError(directory.resolve("serve.err").toFile())
            .redirectOutput(out.toFile())
            .start();
    for (int i = 0; i < 200 && server.isAlive() && !Files.readString(out).contains("}"); i++) {
      Thread.sleep(50);
    }
    return server;
  }

  private void everyCommandTakesRowsOf(String scheme) throws Exception {
    Path slices = directory.resolve("slices");
    Cli.Result sharded = Cli.run("shard", model.toString(), slices.toString(), "--slices", "2");
    assertEquals(0, sharded.exit(), sharded.err());
    String text = Files.writeString(directory.resolve("text.txt"), "the whale").toString();
    Path out = directory.resolve("serve.out");
    Process server = serving(scheme + "://lo:0", out, slices);
    try {
      assertTrue(server.isAlive(), Files.readString(directory.resolve("serve.err")));
      int port = new ObjectMapper().readTree(out.toFile()).get("port").asInt();
      String address = scheme + "://127.0.0.1:" + port;
      JsonNode doctor = json("doctor", "--remote", address, "--json").get("remote");
      assertEquals("mini-v41", doctor.get("model").asText());
      JsonNode run = json("run", slices.toString(), "--file", text, "--remote", address, "--json");
      JsonNode local = json("run", model.toString(), "--file", text, "--json");
      assertEquals(local.get("digest"), run.get("digest"));
      assertTrue(run.get("endpoints").get(0).get("requests").asInt() > 0);
      assertTrue(
          json("verify", model.toString(), "--remote", address, "--json")
              .get("passed")
              .asBoolean());
      server.destroy(); // SIGTERM, as a service is ended
      assertTrue(server.waitFor(10, java.util.concurrent.TimeUnit.SECONDS));
      String told = Files.readString(directory.resolve("serve.err"));
      assertTrue(told.contains("served "), told);
    } finally {
      server.destroyForcibly().waitFor();
    }
  }

  @Test
  void everyCommandTakesRowsOfServedSlices() throws Exception {
    everyCommandTakesRowsOf("engram");
  }

  @Test
  @EnabledIf("hasUcx")
  void everyCommandTakesRowsOfServedSlicesOverUcx() throws Exception {
    everyCommandTakesRowsOf("ucx");
  }

  @Test
  void whatCannotBeServedIsRefused() throws IOException {
    Path slices = directory.resolve("slices");
    Cli.Result sharded = Cli.run("shard", model.toString(), slices.toString());
    assertEquals(0, sharded.exit(), sharded.err());
    String at = slices.toString();
    refused("every interface", "serve", at, "--listen", "engram://0.0.0.0:0");
    refused("scheme", "serve", at, "--listen", "redis://127.0.0.1:0");
    refused(
        "no slice", "serve", slices.resolve("config.json").toString(), "--listen", "engram://lo:0");
    refused("is no address", "serve", at, "--listen", "engram://lo");
    refused("manifest", "serve", model.toString(), "--listen", "engram://lo:0");
  }

  private static JsonNode json(String... arguments) throws IOException {
    Cli.Result result = Cli.run(arguments);
    assertEquals(0, result.exit(), result.err());
    return new ObjectMapper().readTree(result.out());
  }

  @Test
  void whatCannotBeIsRefused() throws IOException {
    String text = Files.writeString(directory.resolve("text.txt"), "the whale").toString();
    String at = model.toString();
    refused("OUT", "shard", at);
    refused("the model itself", "shard", at, at);
    refused("a file", "shard", at, text);
    refused("99", "shard", at, directory.resolve("out").toString(), "--slices", "99");
    refused("scheme", "shard", at, "--into", "gopher://there");
    refused("redis://***@127.0.0.1:1", "shard", at, "--into", "redis://me:pw@127.0.0.1:1");
    refused("--remote", "run", at, "--file", text, "--placement", "remote");
    refused("streamed", "run", at, "--file", text, "--placement", "streamed", "--remote", "x://y");
    refused("127.0.0.1:1", "run", at, "--file", text, "--remote", "redis://127.0.0.1:1");
    refused("no manifest", "verify", at, "--remote", directory.resolve("none").toString());
  }

  private static void refused(String part, String... arguments) throws IOException {
    Cli.Result result = Cli.run(arguments);
    assertEquals(2, result.exit(), String.join(" ", arguments) + ": " + result.err());
    assertTrue(result.err().contains(part), result.err());
    assertFalse(result.err().contains("pw@"), result.err());
    assertFalse(result.err().contains("\tat "), result.err());
  }
}
