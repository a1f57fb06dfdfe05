package io.engram4j.remote;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.hf.EngramModels;
import io.engram4j.hf.ModelFiles;
import io.engram4j.model.EngramLayout;
import io.engram4j.remote.Manifest.Slice;
import io.engram4j.remote.Manifest.SlicedTable;
import io.engram4j.tck.RandomModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Slices tile a table at the borders of its heads; manifests that do not are refused. */
class SharderTest {
  @TempDir private Path directory;
  private ModelFiles model;

  @BeforeEach
  void write() throws IOException {
    Path path = Files.createDirectory(directory.resolve("model"));
    RandomModel.small(32, 2, List.of(1, 3)).write(path, bytes -> {});
    model = EngramModels.read(path);
  }

  private Manifest shard(String to, int slices) throws IOException {
    return new Sharder(model, "random", "1", slices).shard(directory.resolve(to), 2, bytes -> {});
  }

  @Test
  void slicesEndWithHeads() throws IOException {
    long[] primes = EngramLayout.primes(model.config()).getFirst();
    assertEquals(4, primes.length);
    SlicedTable two = shard("two", 2).table(1);
    assertEquals(List.of(0L, primes[0] + primes[1]), firsts(two));
    SlicedTable three = shard("three", 3).table(1);
    assertEquals(List.of(0L, primes[0], primes[0] + primes[1]), firsts(three));
    assertEquals(two.rows(), two.slices().stream().mapToLong(Slice::rows).sum());
    for (int slices : new int[] {0, -1, 5}) {
      IllegalArgumentException e =
          assertThrows(
              IllegalArgumentException.class, () -> new Sharder(model, "random", "1", slices));
      assertTrue(e.toString().contains("" + slices) && e.toString().contains("4"), e.toString());
    }
  }

  private static List<Long> firsts(SlicedTable table) {
    return table.slices().stream().map(Slice::first).toList();
  }

  @Test
  void theGenerationIsThatOfRowsAndNotOfPlaces() throws IOException {
    Manifest manifest = shard("one", 2);
    Manifest moved = manifest.withEndpoints(List.of("redis://elsewhere"));
    assertEquals(manifest.generation(), moved.generation());
    assertEquals(moved, Manifest.parse("it", moved.toJson()));
    assertEquals(manifest, Manifest.read(directory.resolve("one")));
    assertEquals(manifest.generation(), shard("again", 2).generation());
    Manifest unwritten = new Sharder(model, "random", "1", 2).manifest(2, bytes -> {});
    assertEquals(manifest, unwritten);
    assertNotEquals(manifest.generation(), shard("other", 3).generation());
    Manifest later = new Manifest("random", "2", manifest.tables(), List.of());
    assertNotEquals(manifest.generation(), later.generation());
  }

  @Test
  void brokenManifestsAreRefusedNamingBoth() throws IOException {
    String json = shard("sliced", 2).toJson();
    long rows = Manifest.parse("it", json).table(1).slices().getFirst().rows();
    refused(json, "\"rows\" : " + rows + ",", "\"rows\" : " + (rows - 1) + ",", "" + rows);
    refused(json, "\"rows\" : " + rows + ",", "\"rows\" : " + (rows + 1) + ",", "" + rows);
    refused(json, "\"type\" : \"", "\"type\" : \"F9_", "F9_");
    refused(json, "\"engram_manifest\" : 1", "\"engram_manifest\" : 2", "version 2");
    refused(json, "\"layer\" : 3", "\"layer\" : 1", "layer 1");
    refused(json, "\"model\"", "\"modal\"", "model");
    refused(json, "\"head_dim\" : 32", "\"head_dim\" : \"32\"", "head_dim");
    refused(json, "\"digest\" : \"", "\"digest\" : \"xx", "digest");
    refused(json, "\"slices\" : [ {", "\"slices\" : [ {,", "JSON");
    refused(json, "\"factor\" : 1.0", "\"factor\" : \"1\"", "factor");
    refused(json, "\"first\" : 0", "\"first\" : -1", "first");
    for (int length = 0; length < json.length() - 2; length += 7) {
      String cut = json.substring(0, length);
      assertThrows(IOException.class, () -> Manifest.parse("cut", cut), "at " + length);
    }
  }

  private static void refused(String json, String from, String to, String part) {
    assertTrue(json.contains(from), from + " is not in " + json);
    int at = json.indexOf(from);
    String broken = json.substring(0, at) + to + json.substring(at + from.length());
    IOException e = assertThrows(IOException.class, () -> Manifest.parse("it", broken));
    assertTrue(e.toString().contains("it") && e.toString().contains(part), e.toString());
  }

  @Test
  void messagesHaveNoPasswords() {
    for (String address :
        new String[] {
          "redis://u:secret@host:1",
          "redis://secret@host",
          "redis://u:secret/x@host",
          "redis://u:secret@secret@host",
          "u:secret@host"
        }) {
      String shown = Addresses.shown(address);
      assertTrue(!shown.contains("secret") && shown.contains("host"), shown);
      IllegalArgumentException e =
          assertThrows(
              IllegalArgumentException.class,
              () -> SlicedTables.connect(address, RemoteOptions.defaults()).close());
      assertTrue(!e.toString().contains("secret"), e.toString());
    }
    assertEquals("redis://host:1/2", Addresses.shown("redis://host:1/2"));
  }

  @Test
  void anotherFactorIsAnotherShape() throws IOException {
    Manifest manifest = shard("factor", 2);
    List<SlicedTable> tables =
        manifest.tables().stream()
            .map(t ->
                new SlicedTable(
                    t.layer(), t.name(), t.type(), t.rows(), t.headDim(), 2, t.slices()))
            .toList();
    Manifest other = new Manifest(manifest.model(), "2", tables, List.of());
    assertTrue(String.valueOf(manifest.difference(other)).contains("times 2"));
  }

  @Test
  void aSliceOfOtherRowsIsRefused() throws IOException {
    Manifest manifest = shard("sliced", 2);
    Path sliced = directory.resolve("sliced");
    Sharder.open(sliced, manifest, 1, 0).verify(2, bytes -> {});
    Path other = Sharder.file(sliced, 3, 0);
    Files.copy(
        other, Sharder.file(sliced, 1, 0), java.nio.file.StandardCopyOption.REPLACE_EXISTING);
    IOException e = assertThrows(IOException.class, () -> Sharder.open(sliced, manifest, 1, 0));
    assertTrue(e.toString().contains(manifest.table(1).slices().getFirst().digest()), e.toString());
    Path damaged = Sharder.file(sliced, 1, 1);
    byte[] bytes = Files.readAllBytes(damaged);
    bytes[4096 + 50] ^= 4;
    Files.write(damaged, bytes);
    IOException flipped =
        assertThrows(
            IOException.class, () -> Sharder.open(sliced, manifest, 1, 1).verify(2, done -> {}));
    assertTrue(flipped.toString().contains("damaged"), flipped.toString());
  }
}
