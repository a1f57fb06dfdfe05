package io.engram4j.hf;

import io.engram4j.Backends;
import io.engram4j.EngramModel;
import io.engram4j.EngramRows;
import io.engram4j.kernel.Backend;
import io.engram4j.table.Placement;
import io.engram4j.table.RemoteTables;
import io.engram4j.table.Table;
import io.engram4j.table.TableOptions;
import io.engram4j.table.io.TableFile;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Opens models of every form that is known: a Hugging Face directory of DeepSeek-V4.1, of Qwen's
 * PLE or of the paper's demo, or a GGUF file of the first two, split or whole.
 */
public final class EngramModels {
  private static final byte[] GGUF = "GGUF".getBytes(StandardCharsets.US_ASCII);

  private EngramModels() {}

  /**
   * Opens a model on the best backend, or the one that the property {@code engram.backend} names.
   *
   * @param path a model directory, what stands for one in the hub's cache ({@link
   *     HubCache#resolve}), a GGUF file, any part of a split one or what their names begin with, or
   *     a directory with one GGUF file
   * @throws IOException if anything is missing or does not fit; the message lists all of it
   */
  public static EngramModel open(Path path) throws IOException {
    return read(path).open(Backends.select());
  }

  /**
   * Reads a model's files without opening it.
   *
   * @throws IOException if there is no model, or its configuration cannot be used
   */
  public static ModelFiles read(Path path) throws IOException {
    return read(path, null);
  }

  /**
   * Reads a model's files, with the token map from elsewhere.
   *
   * @param map a tokenizer.json or a map file, or null for the model's own
   */
  public static ModelFiles read(Path given, @Nullable Path map) throws IOException {
    Path path = HubCache.resolve(given);
    if (Files.isDirectory(path)) {
      List<Path> ggufs = Files.exists(path.resolve("config.json")) ? List.of() : ggufs(path);
      if (ggufs.size() > 1) {
        throw new IOException(path + " has several GGUF models, name one: " + names(ggufs));
      }
      return ggufs.isEmpty()
          ? EngramDirectory.read(path, map)
          : GgufModel.read(ggufs.getFirst(), map);
    }
    String name = String.valueOf(path.getFileName());
    if (Files.exists(path) ? isGguf(path) : !ggufs(parent(path), name + "-00001-of-").isEmpty()) {
      return GgufModel.read(path, map);
    }
    boolean ofDirectory =
        Files.isRegularFile(path) && (name.equals("config.json") || name.endsWith(".safetensors"));
    return EngramDirectory.read(ofDirectory ? parent(path) : path, map);
  }

  /**
   * Opens the tables of a model and nothing else: for engines that hash and project themselves.
   *
   * @param path a model of any form, or only its tables: an index or a directory with nothing but
   *     the shards of rows, packed files, or raw files with a manifest (docs/tables.md)
   * @throws IOException if there are no tables, or what there is is broken
   */
  public static EngramRows openRows(Path path) throws IOException {
    return openRows(path, Backends.select(), TableOptions.defaults().placement(Placement.MAPPED));
  }

  /** Does the same, on a backend and with the tables where the options say. */
  public static EngramRows openRows(Path path, Backend backend, TableOptions options)
      throws IOException {
    OpenTables opened = new OpenTables(options);
    boolean done = false;
    try {
      Map<Integer, TableFile> files = RowTables.find(path);
      long bytes = files.values().stream().mapToLong(TableFile::bytes).sum();
      Map<Integer, Table> tables = new LinkedHashMap<>();
      for (Map.Entry<Integer, TableFile> file : files.entrySet()) {
        tables.put(file.getKey(), opened.open(file.getValue(), bytes, backend.acceptsMappings()));
      }
      EngramRows rows = new EngramRows(tables, backend, opened);
      done = true;
      return rows;
    } catch (IllegalArgumentException | ArithmeticException | UncheckedIOException e) {
      throw new IOException(path + ": " + e.getMessage(), e);
    } finally {
      if (!done) {
        opened.close();
      }
    }
  }

  /**
   * Opens tables of other machines and nothing else.
   *
   * @param options with {@link TableOptions#remote}
   * @throws IOException if nobody serves them
   */
  public static EngramRows openRows(Backend backend, TableOptions options) throws IOException {
    RemoteTables remote = options.remote();
    if (remote == null) {
      throw new IllegalArgumentException("the options name no tables of other machines");
    }
    OpenTables opened = new OpenTables(options);
    boolean done = false;
    try {
      Map<Integer, Table> tables = new LinkedHashMap<>();
      for (int layer : remote.layers()) {
        tables.put(layer, opened.open(remote.open(layer)));
      }
      EngramRows rows = new EngramRows(tables, backend, opened);
      done = true;
      return rows;
    } catch (UncheckedIOException e) { // of rows that the cache begins with
      throw new IOException(e.getMessage(), e);
    } finally {
      if (!done) {
        opened.close();
      }
    }
  }

  private static Path parent(Path path) {
    return path.resolveSibling("");
  }

  private static String names(List<Path> paths) {
    return String.join(", ", paths.stream().map(p -> String.valueOf(p.getFileName())).toList());
  }

  /**
   * Returns the GGUF models of a directory, of split ones the first part, in order of their names.
   *
   * @throws IOException if the directory cannot be listed
   */
  public static List<Path> ggufs(Path directory) throws IOException {
    return ggufs(directory, "").stream()
        .filter(file ->
            !file.getFileName().toString().matches(".*-\\d{5}-of-\\d{5}\\.gguf")
                || file.getFileName().toString().contains("-00001-of-"))
        .toList();
  }

  private static List<Path> ggufs(Path directory, String start) throws IOException {
    Path listed = directory.toString().isEmpty() ? Path.of(".") : directory;
    if (!Files.isDirectory(listed)) {
      return List.of();
    }
    try (Stream<Path> files = Files.list(listed)) {
      return files
          .filter(file -> file.getFileName().toString().startsWith(start))
          .filter(file -> file.getFileName().toString().endsWith(".gguf"))
          .sorted()
          .toList();
    }
  }

  private static boolean isGguf(Path file) throws IOException {
    if (!Files.isRegularFile(file)) {
      return false;
    }
    try (InputStream in = Files.newInputStream(file)) {
      return file.toString().endsWith(".gguf") || Arrays.equals(in.readNBytes(GGUF.length), GGUF);
    }
  }
}
