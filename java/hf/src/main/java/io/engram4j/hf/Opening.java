package io.engram4j.hf;

import io.engram4j.EngramModel;
import io.engram4j.kernel.Backend;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.TokenMap;
import io.engram4j.table.RemoteTables;
import io.engram4j.table.RemoteTables.RemoteTable;
import io.engram4j.table.Table;
import io.engram4j.table.TableOptions;
import io.engram4j.table.io.TableFile;
import io.engram4j.weights.LayerWeights;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** How a model is opened whose files were read and checked, whatever their form. */
final class Opening {
  private Opening() {}

  /** What a form of files has of a layer. */
  interface Layer {
    /** Returns how many rows there must be. */
    long rows();

    /** Returns where the rows lie, if they lie in files. */
    TableFile tableFile();

    /**
     * Maps the large weights and reads the small ones.
     *
     * @param table the rows, opened
     * @param maps whether large weights may be mapped, or are read into memory
     * @throws IOException if a file cannot be mapped or read
     */
    LayerWeights load(Table table, boolean maps, Arena arena) throws IOException;
  }

  static EngramModel open(
      Path path,
      EngramConfig config,
      @Nullable TokenMap map,
      List<Check> checks,
      Map<Integer, ? extends Layer> layers,
      Backend backend,
      TableOptions options)
      throws IOException {
    requirePassed(path, checks);
    OpenTables tables = new OpenTables(options);
    boolean opened = false;
    try {
      RemoteTables remote = options.remote();
      long bytes =
          remote != null
              ? 0
              : layers.values().stream().mapToLong(layer -> layer.tableFile().bytes()).sum();
      List<LayerWeights> weights = new ArrayList<>();
      for (Map.Entry<Integer, ? extends Layer> entry : layers.entrySet()) {
        Layer layer = entry.getValue();
        boolean maps = backend.acceptsMappings();
        Table table =
            remote == null
                ? tables.open(layer.tableFile(), bytes, maps)
                : tables.open(remote(remote, entry.getKey(), layer.rows(), config));
        weights.add(layer.load(table, maps, tables.arena()));
      }
      EngramModel model = new EngramModel(config, requireMap(path, map), weights, backend, tables);
      opened = true;
      return model;
    } catch (IllegalArgumentException e) {
      throw new IOException(path + ": " + e.getMessage(), e);
    } catch (InternalError e) { // what HotSpot makes of a mapped page that is gone
      throw new IOException(
          path + ": a file has shrunk while it was opened, or its disk failed", e);
    } catch (UncheckedIOException e) {
      throw new IOException(path + ": " + e.getMessage(), e);
    } finally {
      if (!opened) {
        tables.close();
      }
    }
  }

  private static RemoteTable remote(RemoteTables remote, int layer, long rows, EngramConfig config)
      throws IOException {
    RemoteTable table = remote.open(layer);
    if (table.rows() != rows || table.headDim() != config.headDim()) {
      throw new IllegalArgumentException(
          "layer "
              + layer
              + " has "
              + rows
              + " rows of "
              + config.headDim()
              + ", but other machines serve "
              + table.rows()
              + " of "
              + table.headDim());
    }
    return table;
  }

  static EngramModel openForHashing(
      Path path, EngramConfig config, @Nullable TokenMap map, List<Check> checks, Backend backend)
      throws IOException {
    requirePassed(
        path, checks.stream().filter(check -> !check.name().endsWith("tensors")).toList());
    try {
      return EngramModel.hashOnly(config, requireMap(path, map), backend);
    } catch (IllegalArgumentException e) {
      throw new IOException(path + ": " + e.getMessage(), e);
    }
  }

  private static TokenMap requireMap(Path path, @Nullable TokenMap map) throws IOException {
    if (map == null) {
      throw new IOException(path + " has no token map");
    }
    return map;
  }

  private static void requirePassed(Path path, List<Check> required) throws IOException {
    List<String> failures =
        required.stream()
            .filter(check -> !check.passed())
            .map(check -> check.name() + ": " + check.detail())
            .toList();
    if (!failures.isEmpty()) {
      throw new IOException(path + " cannot be opened: " + String.join("; ", failures));
    }
  }
}
