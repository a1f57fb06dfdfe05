package io.engram4j.hf;

import io.engram4j.EngramModel;
import io.engram4j.gguf.GgufFile;
import io.engram4j.gguf.GgufTensor;
import io.engram4j.kernel.Backend;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.TokenMap;
import io.engram4j.table.Placement;
import io.engram4j.table.TableOptions;
import io.engram4j.table.io.TableFile;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A GGUF file, whole or split, whose model has Engram layers, read and checked: metadata, and where
 * the tensors lie. Rows and weights stay as they are stored. Immutable and thread-safe.
 */
public final class GgufModel implements ModelFiles {
  private static final List<GgufDialect> DIALECTS = List.of(new GgufDeepSeek41(), new GgufQwen4());

  private final GgufFile file;
  private final GgufDialect.Described described;

  private GgufModel(GgufFile file, GgufDialect.Described described) {
    this.file = file;
    this.described = described;
  }

  /**
   * Reads a file.
   *
   * @param path the file, any part of a split one, or what their names begin with
   * @param map a tokenizer.json or a map file, for files without a map of their own, or null
   * @throws IOException if it is broken, no model with Engram layers, or of a dialect or a type
   *     that is not supported; the message names file, key or tensor
   */
  public static GgufModel read(Path path, @Nullable Path map) throws IOException {
    GgufFile file = GgufFile.open(path);
    String architecture =
        file.text("general.architecture")
            .orElseThrow(() -> new IOException(file.file() + ": no key general.architecture"));
    List<String> known = new ArrayList<>();
    for (GgufDialect dialect : DIALECTS) {
      if (dialect.architectures().contains(architecture)) {
        try {
          return new GgufModel(file, dialect.read(file, map));
        } catch (IllegalArgumentException | ArithmeticException e) {
          throw new IOException(file.file() + ": " + e.getMessage(), e);
        }
      }
      known.addAll(dialect.architectures());
    }
    throw new IOException(
        file.file()
            + ": the architecture "
            + architecture
            + " has no Engram layers that are known; those that have are "
            + known);
  }

  @Override
  public Path path() {
    return file.file();
  }

  @Override
  public String form() {
    String parts = file.parts() == 1 ? "" : " in " + file.parts() + " parts";
    return "GGUF file" + parts + ", dialect of " + described.dialect();
  }

  @Override
  public EngramConfig config() {
    return described.config();
  }

  @Override
  public List<Check> checks() {
    return described.checks();
  }

  @Override
  public Optional<TokenMap> map() {
    return Optional.of(described.map());
  }

  @Override
  public List<TensorInfo> tensors(int layerId) {
    GgufLayer layer = described.layers().get(layerId);
    if (layer == null) {
      return List.of();
    }
    List<TensorInfo> all = new ArrayList<>();
    GgufTensor table = file.tensors().get(layer.tableFile().name());
    if (table != null) {
      all.add(GgufLayer.info(table));
    }
    all.addAll(layer.tensors());
    return all;
  }

  @Override
  public Path tokenizerJson() {
    return path().resolveSibling("tokenizer.json");
  }

  @Override
  public TableFile tableFile(int layerId) throws IOException {
    GgufLayer layer = described.layers().get(layerId);
    if (layer == null) {
      throw new IOException(path() + " has no table of layer " + layerId);
    }
    return layer.tableFile();
  }

  @Override
  public EngramModel open(Backend backend) throws IOException {
    return open(backend, TableOptions.defaults().placement(Placement.MAPPED));
  }

  @Override
  public EngramModel open(Backend backend, TableOptions options) throws IOException {
    return Opening.open(
        path(),
        described.config(),
        described.map(),
        described.checks(),
        described.layers(),
        backend,
        options);
  }

  @Override
  public EngramModel openForHashing(Backend backend) throws IOException {
    return Opening.openForHashing(
        path(), described.config(), described.map(), described.checks(), backend);
  }
}
