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
