package io.engram4j.hf;

import io.engram4j.Backends;
import io.engram4j.EngramModel;
import io.engram4j.kernel.Backend;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.EngramLayout;
import io.engram4j.model.LayerLayout;
import io.engram4j.model.TokenMap;
import io.engram4j.model.TokenMapFile;
import io.engram4j.table.Placement;
import io.engram4j.table.TableOptions;
import io.engram4j.table.io.TableFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * A Hugging Face model directory whose model has Engram layers, read and checked: config.json, the
 * headers of the shards that hold Engram tensors, and the token map. Tables are not touched before
 * {@link #open}, and then mapped, not read. Immutable and thread-safe.
 *
 * <p>The token map comes from {@code engram-map.bin} where there is one, else from {@code
 * tokenizer.json}.
 */
public final class EngramDirectory implements ModelFiles {
  private final Path path;
  private final EngramConfig config;
  private final List<Check> checks = new ArrayList<>();
  private final Map<Integer, LayerTensors> layers = new LinkedHashMap<>();
  private final @Nullable TokenMap map;

  private EngramDirectory(Path path, @Nullable Path mapFile) throws IOException {
    this.path = path;
    ConfigReader.Described described = ConfigReader.read(path.resolve("config.json"));
    this.config = described.config();
    List<long[]> primes;
    try {
      primes = EngramLayout.primes(config);
    } catch (IllegalArgumentException e) {
      throw new IOException(path.resolve("config.json") + ": " + e.getMessage(), e);
    }
    this.map = readMap(described.checkpoint(), mapFile);
    List<LayerLayout> layouts = layouts();
    ShardIndex index = readIndex();
    for (int i = 0; i < primes.size(); i++) {
      long rows = 0;
      for (long prime : primes.get(i)) {
        rows += prime;
      }
      checkLayer(described, i, rows, layouts.isEmpty() ? null : layouts.get(i), index);
    }
    if (index != null) {
      checkPacking(index);
    }
    checkMap();
  }

  /**
   * Reads a directory, or what a path stands for in the hub's cache ({@link HubCache#resolve}).
   * What is wrong with tensors and token map is collected in {@link #checks}.
   *
   * @throws IOException if there is no usable config.json; the message names file and field
   */
  public static EngramDirectory read(Path path) throws IOException {
    return read(path, null);
  }

  /**
   * Reads a directory, or what stands for it, with the token map from elsewhere.
   *
   * @param map a tokenizer.json or a map file, or null for the directory's own
   */
  public static EngramDirectory read(Path given, @Nullable Path map) throws IOException {
    Path path = HubCache.resolve(given);
    if (!Files.isDirectory(path)) {
      throw new IOException(
          path + (Files.exists(path) ? " is a file, not" : " is not") + " a model directory");
    }
    return new EngramDirectory(path, map);
  }

  /**
   * Opens the model of a directory on the best backend, or the one that the property {@code
   * engram.backend} names.
   *
   * @throws IOException if anything is missing or does not fit; the message lists all of it
   */
  public static EngramModel open(Path path) throws IOException {
    return read(path).open(Backends.select());
  }

  private @Nullable ShardIndex readIndex() {
    try {
      return ShardIndex.read(path);
    } catch (IOException e) {
      checks.add(new Check("tensors", false, String.valueOf(e.getMessage())));
      return null;
    }
  }

  /** Returns what is computed from map and configuration, nothing if there is no map. */
  private List<LayerLayout> layouts() {
    try {
      return map == null ? List.of() : EngramLayout.of(config, map.distinct());
    } catch (IllegalArgumentException e) {
      return List.of(); // opening says so
    }
  }

  private void checkLayer(
      ConfigReader.Described described,
      int i,
      long rows,
      @Nullable LayerLayout layout,
      @Nullable ShardIndex index) {
    int id = config.layerIds().get(i);
    boolean pads = described.checkpoint().padsTables();
    long wanted = pads ? config.tableRows().get(i) : rows;
    if (!config.tableRows().isEmpty() && !pads) {
      long published = config.tableRows().get(i);
      checks.add(
          new Check(
              "layer " + id + " sum of primes",
              rows == published,
              rows == published
                  ? "" + rows
                  : rows + ", but engram_num_embeddings says " + published));
    }
    if (index == null) {
      return;
    }
    LayerTensors tensors = new LayerTensors(described, id, layout, wanted, index, path);
    layers.put(id, tensors);
    boolean complete = tensors.problems().isEmpty();
    checks.add(
        new Check(
            tensorsOf(id),
            complete,
            complete
                ? tensors.tensors().size() + " found, types and shapes fit"
                : String.join("; ", tensors.problems())));
  }

  private static String tensorsOf(int layer) {
    return "layer " + layer + " tensors";
  }

  /** A pack over an older copy that was ended in the midst leaves rows of both. */
  private void checkPacking(ShardIndex index) {
    Set<String> packings = new HashSet<>();
    layers.values().stream()
        .map(LayerTensors::packing)
        .filter(Objects::nonNull)
        .forEach(packings::add);
    String weights = index.packing();
    if (weights != null && !packings.isEmpty()) {
      packings.add(weights);
    }
    if (packings.size() > 1) {
      checks.add(
          new Check(
              "packed tensors", // not needed for hashing
              false,
              path + " holds files of " + packings.size() + " packings; pack it again to the end"));
    }
  }

  private @Nullable TokenMap readMap(Checkpoint checkpoint, @Nullable Path given) {
    if (checkpoint.hashesRawIds()) {
      if (given != null) {
        String family = checkpoint.family();
        checks.add(
            new Check("token map", false, family + " hashes raw ids; " + given + " has no use"));
      }
      try {
        return TokenMap.identity(config.compressedSize().orElseThrow());
      } catch (IllegalArgumentException e) {
        checks.add(new Check("token map", false, String.valueOf(e.getMessage())));
        return null;
      }
    }
    Path own = path.resolve(TokenMapFile.NAME);
    Path tokenizer = path.resolve("tokenizer.json");
    Path file = given != null ? given : Files.exists(own) ? own : tokenizer;
    try {
      if (!Files.exists(file)) {
        throw new IOException(
            given != null
                ? file + " does not exist"
                : path + " has neither tokenizer.json nor " + TokenMapFile.NAME);
      }
      return loadMap(file);
    } catch (IOException e) {
      checks.add(new Check("token map", false, String.valueOf(e.getMessage())));
      return null;
    }
  }

  /**
   * Reads a token map from a tokenizer.json or a map file, told apart by their first byte.
   *
   * @throws IOException if it is neither, or broken
   */
  public static TokenMap loadMap(Path file) throws IOException {
    if (Files.isRegularFile(file)) {
      try (var in = Files.newInputStream(file)) {
        if (in.read() == 'E') {
          return TokenMapFile.load(file);
        }
      }
    }
    return TokenMap.build(TokenizerJson.read(file));
  }

  private void checkMap() {
    if (map == null) {
      return;
    }
    int distinct = map.distinct();
    int published = config.compressedSize().orElse(distinct);
    checks.add(
        new Check(
            "compressed vocabulary",
            distinct == published,
            distinct == published
                ? map.size() + " -> " + distinct
                : distinct + ", but engram_compressed_vocab_size says " + published));
    boolean hasPad = config.padTokenId() < map.size();
    checks.add(
        new Check(
            "pad token",
            hasPad,
            hasPad
                ? config.padTokenId() + " -> " + map.get(config.padTokenId())
                : config.padTokenId() + " is outside the vocabulary of " + map.size() + " ids"));
  }

  @Override
  public Path path() {
    return path;
  }

  @Override
  public String form() {
    return "safetensors directory";
  }

  @Override
  public EngramConfig config() {
    return config;
  }

  @Override
  public List<Check> checks() {
    return List.copyOf(checks);
  }

  @Override
  public Optional<TokenMap> map() {
    return Optional.ofNullable(map);
  }

  @Override
  public List<TensorInfo> tensors(int layerId) {
    LayerTensors tensors = layers.get(layerId);
    return tensors == null ? List.of() : tensors.tensors();
  }

  /** Returns whether a tensor is of a layer's table, and not of what is beside it. */
  boolean isOfTable(int layerId, TensorInfo tensor) {
    LayerTensors tensors = layers.get(layerId);
    return tensors != null && tensors.isOfTable(tensor);
  }

  @Override
  public Path tokenizerJson() {
    return path.resolve("tokenizer.json");
  }

  /** Other machines have the rows, so they need not be here. */
  private List<Check> checksBesideRows() {
    Map<String, LayerTensors> ofRows = new HashMap<>();
    layers.forEach((id, layer) -> ofRows.put(tensorsOf(id), layer));
    List<Check> required = new ArrayList<>();
    for (Check check : checks) {
      LayerTensors layer = ofRows.get(check.name());
      if (layer == null) {
        required.add(check);
      } else if (!layer.problemsBesideRows().isEmpty()) {
        String problems = String.join("; ", layer.problemsBesideRows());
        required.add(new Check(check.name(), false, problems));
      }
    }
    return required;
  }

  @Override
  public EngramModel open(Backend backend) throws IOException {
    return open(backend, TableOptions.defaults().placement(Placement.MAPPED));
  }

  @Override
  public EngramModel open(Backend backend, TableOptions options) throws IOException {
    List<Check> required = options.remote() == null ? checks : checksBesideRows();
    return Opening.open(path, config, map, required, layers, backend, options);
  }

  @Override
  public TableFile tableFile(int layerId) throws IOException {
    LayerTensors tensors = layers.get(layerId);
    if (tensors == null || !tensors.problems().isEmpty()) {
      throw new IOException(path + " has no complete table of layer " + layerId);
    }
    return tensors.tableFile();
  }

  @Override
  public EngramModel openForHashing(Backend backend) throws IOException {
    return Opening.openForHashing(path, config, map, checks, backend);
  }
}
