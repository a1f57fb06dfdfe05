package io.engram4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.hf.TensorInfo;
import io.engram4j.table.Placement;
import io.engram4j.table.TableOptions;
import io.engram4j.table.io.PackedFile;
import io.engram4j.tck.Golden;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Packing, profiling, and running from every placement. */
class TableCommandsTest {
  @TempDir Path directory;
  private Path model = Path.of("");
  private Path text = Path.of("");

  @BeforeEach
  void extract() throws IOException {
    Golden.extract(directory);
    model = directory.resolve("mini-v41");
    text = directory.resolve("text.txt");
    Files.writeString(text, "the whale and the sea and the whale again; ".repeat(40));
  }

  /** Shared tables outlive the processes that use them; those of a test need not. */
  @AfterEach
  void removeShared() throws IOException {
    Path memory = TableOptions.defaults().sharedDirectory();
    try (var files = Files.newDirectoryStream(memory, "engram4j-*.rows")) {
      for (Path file : files) {
        if (PackedFile.open(file).table().rows() < 20_000) {
          Files.delete(file);
        }
      }
    }
  }

  /** Not everybody may lock memory; who may not is told the limit. */
  private boolean canLock(Path packed) throws IOException {
    Cli.Result result =
        Cli.run("run", packed.toString(), "--file", text.toString(), "--placement", "pinned");
    assertTrue(result.exit() == 0 || result.err().contains("lock"), result.err());
    return result.exit() == 0;
  }

  private static JsonNode json(String... arguments) throws IOException {
    List<String> all = new ArrayList<>(List.of(arguments));
    all.add("--json");
    Cli.Result result = Cli.run(all.toArray(String[]::new));
    assertEquals(0, result.exit(), result.err());
    return new ObjectMapper().readTree(result.out());
  }

  private String digest(Path from, String... more) throws IOException {
    List<String> all = new ArrayList<>(List.of("run", from.toString(), "--file", text.toString()));
    all.addAll(List.of(more));
    return json(all.toArray(String[]::new)).get("digest").asText();
  }

  @Test
  void packedModelsRunTheSameFromEveryPlacement() throws IOException {
    String expected = digest(model);
    Path packed = directory.resolve("packed");
    JsonNode pack = json("pack", model.toString(), packed.toString(), "--verify");
    assertTrue(pack.get("verified").asBoolean());
    assertEquals(2, pack.get("files").size());
    assertFalse(Files.exists(packed.resolve("engram-layer-1.rows.part")));
    assertEquals(0, Cli.run("inspect", packed.toString()).exit());
    for (Placement placement : Placement.ofFiles()) {
      if (placement == Placement.PINNED && !canLock(packed)) {
        continue;
      }
      assertEquals(expected, digest(packed, "--placement", placement.toString()));
    }
    // beside the shards, and again, which finds nothing to do
    json("pack", model.toString(), model.toString());
    json("pack", model.toString(), model.toString(), "--verify");
    assertEquals(expected, digest(model, "--placement", "streamed"));
  }

  @Test
  void doctorShowsTablesAndWhatIsInMemory() throws IOException {
    for (int round = 0; round < 2; round++) {
      JsonNode tables = json("doctor", model.toString()).get("tables");
      assertEquals(2, tables.size());
      JsonNode table = tables.get(1);
      assertEquals(14, table.get("layer").asInt());
      assertEquals(round == 0 ? "shards" : "packed", table.get("form").asText());
      long cached = table.get("in_memory_bytes").asLong();
      assertTrue(cached > table.get("bytes").asLong() / 2, "just written: " + table);
      json("pack", model.toString(), model.toString());
    }
    assertTrue(Cli.run("doctor", model.toString()).out().contains("engram-layer-1.rows (packed"));
    assertEquals(2, Cli.run("doctor", "/no/such").exit());
  }

  @Test
  void aDamagedOrStalePackedFileIsNotUsed() throws IOException {
    json("pack", model.toString(), model.toString());
    Path rows = model.resolve("engram-layer-14.rows");
    try (FileChannel channel = FileChannel.open(rows, StandardOpenOption.WRITE)) {
      channel.write(ByteBuffer.wrap(new byte[] {1, 2, 3}), 5000);
    }
    Cli.Result damaged = Cli.run("pack", model.toString(), model.toString(), "--verify");
    assertEquals(2, damaged.exit());
    assertTrue(damaged.err().contains("are damaged"), damaged.err());
    Files.setLastModifiedTime(rows, FileTime.fromMillis(0)); // tells nothing
    assertEquals(0, Cli.run("inspect", model.toString()).exit());
    overwriteTable(model, 14);
    Cli.Result stale = Cli.run("inspect", model.toString());
    assertEquals(1, stale.exit());
    assertTrue(stale.out().contains("was packed from other shards"), stale.out());
  }

  /** Weights of the same shape, as another revision of a model has them. */
  private static void overwriteTable(Path model, int layer) throws IOException {
    TensorInfo table =
        EngramDirectory.read(withoutPacked(model)).tensors(layer).stream()
            .filter(tensor -> tensor.name().endsWith("embed.weight"))
            .findFirst()
            .orElseThrow();
    try (FileChannel channel = FileChannel.open(table.file(), StandardOpenOption.WRITE)) {
      ByteBuffer codes = ByteBuffer.allocate((int) table.bytes());
      while (codes.hasRemaining()) {
        codes.put((byte) (codes.position() % 120));
      }
      channel.write(codes.flip(), table.offset());
    }
  }

  private static Path withoutPacked(Path model) throws IOException {
    Path shards = Files.createTempDirectory(model.getParent(), "shards");
    try (var files = Files.list(model)) {
      for (Path file : files.filter(f -> !f.toString().endsWith(".rows")).toList()) {
        Files.createLink(shards.resolve(file.getFileName()), file); // the same file
      }
    }
    return shards;
  }

  /** Ended between layers, or before the other weights: rows and weights of two models. */
  @Test
  void filesOfTwoPackingsAreNotOpened() throws IOException {
    Path packed = directory.resolve("packed");
    json("pack", model.toString(), packed.toString());
    Path copy = Files.createDirectory(directory.resolve("copy"));
    List<Path> files;
    try (var all = Files.list(packed)) {
      files = all.sorted(Comparator.reverseOrder()).toList();
    }
    for (Path file : files) {
      Files.copy(file, copy.resolve(file.getFileName()));
    }
    assertEquals(digest(model), digest(copy));
    Path other = Files.createDirectory(directory.resolve("other"));
    try (var all = Files.list(model)) {
      for (Path file : all.toList()) {
        Files.copy(file, other.resolve(file.getFileName()));
      }
    }
    overwriteTable(other, 1);
    Path otherPacked = directory.resolve("other-packed");
    json("pack", other.toString(), otherPacked.toString());
    for (String name :
        List.of("engram-layer-1.rows", "engram-layer-14.rows", "model.safetensors")) {
      Path mixed = copy.resolve(name);
      byte[] own = Files.readAllBytes(mixed);
      Files.write(mixed, Files.readAllBytes(otherPacked.resolve(name)));
      Cli.Result refused = Cli.run("run", copy.toString(), "--file", text.toString());
      assertEquals(2, refused.exit(), name);
      assertTrue(refused.err().contains("of 2 packings"), refused.err());
      Files.write(mixed, own);
    }
    assertEquals(digest(model), digest(copy));
  }

  /** What a run leaves that was ended while it wrote the other weights. */
  @Test
  void packingGoesOnFromALeftoverPart() throws IOException {
    Path packed = Files.createDirectory(directory.resolve("packed"));
    Files.write(packed.resolve("model.safetensors.part"), new byte[100]);
    Files.write(packed.resolve("engram-layer-1.rows.part"), new byte[100]);
    Files.write(packed.resolve("engram-layer-1.rows.journal"), new byte[100]);
    json("pack", model.toString(), packed.toString(), "--verify");
    assertEquals(digest(model), digest(packed));
    assertFalse(Files.exists(packed.resolve("model.safetensors.part")));
  }

  /** Whoever may read the other files of this user may read these. */
  @Test
  void packedFilesHaveTheModesOfOtherFiles() throws IOException {
    Path packed = directory.resolve("packed");
    json("pack", model.toString(), packed.toString());
    Path ordinary = Files.write(packed.resolve("ordinary"), new byte[1]);
    try (var files = Files.list(packed)) {
      for (Path file : files.toList()) {
        assertEquals(
            Files.getPosixFilePermissions(ordinary),
            Files.getPosixFilePermissions(file),
            "" + file);
      }
    }
  }

  /** A limit on file sizes stands for a full disk: writing fails in the midst of it. */
  @Test
  void packingOntoAFullDiskFailsAndGoesOnLater() throws IOException {
    Path packed = directory.resolve("packed");
    Cli.Result full =
        Cli.run(java.util.Map.of(), "ulimit -f 600", "pack", model.toString(), packed.toString());
    assertEquals(2, full.exit(), full.out());
    assertEquals(1, full.err().lines().count(), full.err());
    assertFalse(Files.exists(packed.resolve("engram-layer-1.rows")));
    json("pack", model.toString(), packed.toString(), "--verify");
    assertEquals(digest(model), digest(packed));
  }

  @Test
  void aProfileSeedsTheCache() throws IOException {
    Path seed = directory.resolve("seed");
    JsonNode profile =
        json(
            "profile",
            model.toString(),
            "--file",
            text.toString(),
            "--seed",
            seed.toString(),
            "--svg",
            directory.resolve("share.svg").toString(),
            "--rows",
            "500");
    String svg = Files.readString(directory.resolve("share.svg"));
    assertTrue(svg.contains("<polyline") && svg.endsWith("</svg>\n"), svg);
    assertTrue(profile.get("tokens").asInt() > 100);
    JsonNode last = profile.get("layers").get(profile.get("layers").size() - 1);
    assertEquals(1, last.get("share").asDouble());
    String expected = digest(model);
    String cached =
        digest(model, "--placement", "streamed", "--cache-mb", "1", "--seed-rows", seed.toString());
    assertEquals(expected, cached);
    Files.write(seed, new byte[] {1});
    Cli.Result broken =
        Cli.run("run", model.toString(), "--file", text.toString(), "--seed-rows", seed.toString());
    assertEquals(2, broken.exit());
    assertTrue(broken.err().contains("is not a seed of rows"), broken.err());
  }

  @Test
  void aProfileSeedsTheMemo() throws IOException {
    Path seed = directory.resolve("ngrams");
    String[] wanted = {"--file", text.toString(), "--ngram-seed", seed.toString()};
    JsonNode profile =
        json("profile", model.toString(), wanted[0], wanted[1], wanted[2], wanted[3]);
    JsonNode ngrams = profile.get("ngrams");
    assertEquals(1, ngrams.get(ngrams.size() - 1).get("share").asDouble());
    String[] run = {"run", model.toString(), "--file", text.toString(), "--memo-mb", "500"};
    JsonNode cold = json(run).get("memo").get(0);
    String[] seeded = Arrays.copyOf(run, run.length + 2);
    seeded[run.length] = "--seed-ngrams";
    seeded[run.length + 1] = seed.toString();
    JsonNode warm = json(seeded);
    assertTrue(cold.get("known").asDouble() < 1, cold.toString());
    assertEquals(1, warm.get("memo").get(0).get("known").asDouble(), warm.toString());
    assertEquals(cold.get("bytes"), warm.get("memo").get(0).get("bytes"));
    assertEquals(json(run).get("digest"), warm.get("digest"));
    Cli.Result without =
        Cli.run(
            "run", model.toString(), "--file", text.toString(), "--seed-ngrams", seed.toString());
    assertEquals(2, without.exit());
    assertTrue(without.err().contains("--memo-mb"), without.err());
    Files.write(seed, new byte[] {1});
    Cli.Result broken = Cli.run(seeded);
    assertEquals(2, broken.exit());
    assertTrue(broken.err().contains("is not a seed of n-grams"), broken.err());
  }

  @Test
  void aPlanSaysWhatFits() throws IOException {
    JsonNode small = json("plan", model.toString(), "--memory", "1m");
    assertEquals("streamed", small.get("auto").asText());
    assertEquals(2 * 24 * 2, small.get("reads_per_token").asInt());
    JsonNode large = json("plan", model.toString(), "--memory", "64g");
    assertEquals("mapped", large.get("auto").asText());
    for (JsonNode placement : large.get("placements")) {
      assertTrue(placement.get("fits").asBoolean());
    }
    for (JsonNode placement : small.get("placements")) {
      boolean copies = placement.get("fetch_ms_per_token").isNull();
      assertEquals(!copies, placement.get("fits").asBoolean(), placement.toString());
    }
    for (String wrong : List.of("", "x", "-1g", "99999999999999t")) {
      assertEquals(2, Cli.run("plan", model.toString(), "--memory=" + wrong).exit(), wrong);
    }
  }

  @Test
  void whatIsNoPlacementIsTold() throws IOException {
    Cli.Result result =
        Cli.run("run", model.toString(), "--file", text.toString(), "--placement", "disk");
    assertEquals(2, result.exit());
    assertTrue(result.err().contains("there is no placement disk; there are [auto, mapped"));
  }
}
