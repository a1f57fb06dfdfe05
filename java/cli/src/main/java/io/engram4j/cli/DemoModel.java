package io.engram4j.cli;

import io.engram4j.hf.Check;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.host.CacheDirectory;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.TokenMap;
import io.engram4j.model.TokenMapFile;
import io.engram4j.tck.RandomModel;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Comparator;
import java.util.List;
import java.util.OptionalInt;
import java.util.stream.Stream;

/**
 * A deterministic model in DeepSeek-V4.1's layout, with random weights, at a size that fits a
 * laptop: 256 MB of tables where the real one has 203 GB. Made once, in a cache directory.
 */
final class DemoModel {
  private static final String NAME = "demo-v41-2";
  private static final int HIDDEN = 512;
  private static final int BRANCHES = 4;
  private static final int TABLE_START = 20_000;
  private static final int PAD = 0;

  private DemoModel() {}

  /** Returns where this command keeps what it makes: $ENGRAM_CACHE, else the user's cache. */
  static Path cacheDirectory() {
    String own = System.getenv("ENGRAM_CACHE");
    return own != null && !own.isBlank() ? Path.of(own) : CacheDirectory.ofUser();
  }

  /**
   * Returns the model's directory, after making it if it is not there.
   *
   * <p>It is written beside its place and moved there whole, so that a full disk or a kill never
   * leaves half a model that looks like one.
   *
   * @throws IOException if it cannot be written; then nothing is left behind
   */
  private static Path ensure(Path cache, TokenMap map) throws IOException {
    Path model = cache.resolve(NAME);
    if (Files.exists(model.resolve("config.json"))) {
      return model;
    }
    createDirectory(cache);
    delete(model); // what a damaged cache may have left of it
    Path making = Files.createTempDirectory(cache, NAME + ".tmp-");
    try {
      write(making, map);
      Files.move(making, model, StandardCopyOption.ATOMIC_MOVE);
    } catch (FileSystemException e) {
      if (!Files.exists(model.resolve("config.json"))) {
        throw e;
      }
      // another process was faster; its model is the same
    } finally {
      delete(making);
    }
    return model;
  }

  /** Makes the model anew if its files are damaged. */
  static EngramDirectory open(Path cache, TokenMap map) throws IOException {
    Path path = ensure(cache, map);
    EngramDirectory directory = EngramDirectory.read(path);
    if (directory.checks().stream().allMatch(Check::passed)) {
      return directory;
    }
    delete(path);
    return EngramDirectory.read(ensure(cache, map));
  }

  /** Makes the cache directory, or says why it cannot be one. */
  static void createDirectory(Path cache) throws IOException {
    try {
      Files.createDirectories(cache);
    } catch (IOException e) {
      throw new IOException("the cache directory " + cache + " cannot be made: " + reason(e), e);
    }
    if (!Files.isWritable(cache)) {
      throw new IOException(
          "the cache directory " + cache + " is not writable; set ENGRAM_CACHE to one that is");
    }
  }

  private static String reason(IOException e) {
    return e instanceof FileAlreadyExistsException
        ? "a file is in the way"
        : e.getClass().getSimpleName() + " " + e.getMessage();
  }

  private static void delete(Path directory) throws IOException {
    if (Files.exists(directory)) {
      try (Stream<Path> files = Files.walk(directory)) {
        for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
          Files.delete(file);
        }
      }
    }
  }

  private static EngramConfig config(int compressedSize) {
    return EngramConfig.builder()
        .hiddenSize(HIDDEN)
        .branches(BRANCHES)
        .layerIds(List.of(1, 14))
        .ngrams(4, (long) TABLE_START)
        .heads(8, 256)
        .padTokenId(PAD)
        .compressedSize(OptionalInt.of(compressedSize))
        .build();
  }

  private static void write(Path directory, TokenMap map) throws IOException {
    RandomModel model = RandomModel.of(config(map.distinct()));
    TokenMapFile.save(map, directory.resolve(TokenMapFile.NAME));
    try (Progress progress =
        new Progress("making the demo model", model.tableBytes(), " MB", 1_000_000)) {
      model.write(directory, progress::step);
    }
  }
}
