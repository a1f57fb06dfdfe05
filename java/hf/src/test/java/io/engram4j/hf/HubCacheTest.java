package io.engram4j.hf;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.kernel.java.JavaBackend;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Repositories in the layout of the hub's cache, whose files are links into blobs. */
class HubCacheTest {
  @TempDir Path hub;
  private Path repository;

  @BeforeEach
  void write() throws IOException {
    repository = hub.resolve("models--org--name");
    Path blobs = Files.createDirectories(repository.resolve("blobs"));
    Path snapshot = Files.createDirectories(repository.resolve("snapshots").resolve("0a1b"));
    SmallModel.write(blobs);
    try (var files = Files.list(blobs)) {
      for (Path blob : files.toList()) {
        Files.createSymbolicLink(
            snapshot.resolve(blob.getFileName()),
            Path.of("..", "..", "blobs", "" + blob.getFileName()));
      }
    }
    Files.createDirectories(repository.resolve("refs"));
    Files.writeString(repository.resolve("refs").resolve("main"), "0a1b\n");
  }

  private Path named(String variable, Path value) throws IOException {
    return HubCache.resolve(Path.of("org", "name"), Map.of(variable, value.toString()));
  }

  @Test
  void aRepositoryStandsForItsSnapshot() throws IOException {
    Path snapshot = repository.resolve("snapshots").resolve("0a1b");
    assertEquals(snapshot, HubCache.resolve(repository));
    assertEquals(snapshot, HubCache.resolve(snapshot));
    EngramDirectory.read(repository).open(new JavaBackend()).close();
  }

  @Test
  void aNameIsLookedForInTheHub() throws IOException {
    Path snapshot = repository.resolve("snapshots").resolve("0a1b");
    assertEquals(snapshot, named("HF_HUB_CACHE", hub));
    Path home = Files.createDirectory(hub.resolve("home"));
    Files.createSymbolicLink(home.resolve("hub"), hub);
    assertEquals("0a1b", "" + named("HF_HOME", home).getFileName());
    assertEquals(Path.of("org", "name"), named("HF_HOME", hub)); // nothing there
    assertEquals(
        Path.of("a", "b", "c"), HubCache.resolve(Path.of("a", "b", "c"), Map.of("HF_HOME", "x")));
  }

  @Test
  void amongSeveralOneMustBeNamed() throws IOException {
    Path main = repository.resolve("refs").resolve("main");
    Files.createDirectory(repository.resolve("snapshots").resolve("2c3d"));
    assertEquals("0a1b", "" + HubCache.resolve(repository).getFileName());
    Files.writeString(main, "../../..");
    IOException e = assertThrows(IOException.class, () -> HubCache.resolve(repository));
    assertTrue(String.valueOf(e.getMessage()).contains("has 2 snapshots"), e.getMessage());
    Files.delete(repository.resolve("snapshots").resolve("2c3d"));
    assertEquals("0a1b", "" + HubCache.resolve(repository).getFileName());
  }
}
