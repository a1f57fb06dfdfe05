package io.engram4j.remote;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.engram4j.host.Digests;
import io.engram4j.table.RowType;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a model's tables are when other machines hold them: their shapes, the slices into which they
 * are cut, and a digest of each. Immutable.
 *
 * @param model what the model calls itself
 * @param revision of the model, by which people tell one training from the next
 * @param tables in the order of their layers
 * @param endpoints where the slices may be served; no part of the generation, since rows stay the
 *     same when they move
 */
public record Manifest(
    String model, String revision, List<SlicedTable> tables, List<String> endpoints) {
  /** The file's name. */
  public static final String NAME = "engram-manifest.json";

  private static final int VERSION = 1;
  private static final int MOST_BYTES = 16 << 20;
  private static final ObjectMapper MAPPER =
      JsonMapper.builder()
          .enable(SerializationFeature.INDENT_OUTPUT)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .enable(com.fasterxml.jackson.core.StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .build();

  /**
   * A layer's table.
   *
   * @param layer whose it is
   * @param name what messages call it
   * @param type how rows are stored
   * @param rows how many there are
   * @param headDim elements of a row
   * @param factor the scale of the whole table, 1 where the type has none
   * @param slices which tile it without gap or overlap
   */
  public record SlicedTable(
      int layer,
      String name,
      RowType type,
      long rows,
      int headDim,
      float factor,
      List<Slice> slices) {
    public SlicedTable {
      slices = List.copyOf(slices);
      long next = 0;
      for (Slice slice : slices) {
        if (slice.first != next || slice.rows < 1) {
          throw new IllegalArgumentException(
              "layer "
                  + layer
                  + ": a slice has "
                  + slice.rows
                  + " rows from "
                  + slice.first
                  + (slice.first < next ? ", but the one before ends at " : ", not from ")
                  + next);
        }
        next = Math.addExact(next, slice.rows);
      }
      if (next != rows || headDim < 1) {
        throw new IllegalArgumentException(
            "layer " + layer + ": slices have " + next + " rows, but the table has " + rows);
      }
    }

    String shape() {
      return "layer "
          + layer
          + " has "
          + rows
          + " rows of "
          + headDim
          + " "
          + type
          + (factor == 1 ? "" : " times " + factor);
    }

    /** Returns the bytes of a row, scales included. */
    public int rowBytes() {
      return Math.toIntExact(type.rowBytes(headDim));
    }
  }

  /**
   * Rows that lie together.
   *
   * @param first the row of the table that lies first
   * @param rows how many there are
   * @param digest SHA-256 of their bytes' checksums ({@link Sharder})
   */
  public record Slice(long first, long rows, String digest) {}

  public Manifest {
    tables = List.copyOf(tables);
    endpoints = List.copyOf(endpoints);
    int before = -1;
    for (SlicedTable table : tables) {
      if (table.layer <= before) {
        throw new IllegalArgumentException("layer " + table.layer + " comes behind " + before);
      }
      before = table.layer;
    }
    if (tables.isEmpty()) {
      throw new IllegalArgumentException("there are no tables");
    }
  }

  /** Returns the same rows, served elsewhere. */
  public Manifest withEndpoints(List<String> other) {
    return new Manifest(model, revision, tables, other);
  }

  /**
   * Returns the table of a layer.
   *
   * @throws IllegalArgumentException if there is none
   */
  public SlicedTable table(int layer) {
    return tables.stream()
        .filter(table -> table.layer == layer)
        .findFirst()
        .orElseThrow(() ->
            new IllegalArgumentException(
                "the manifest of "
                    + model
                    + " has no table of layer "
                    + layer
                    + ", but of "
                    + tables.stream().map(SlicedTable::layer).toList()));
  }

  /** Returns what is not alike in two manifests whose rows may follow each other, or null. */
  @Nullable String difference(Manifest other) {
    if (!model.equals(other.model) || tables.size() != other.tables.size()) {
      return model
          + " has "
          + tables.size()
          + " tables, "
          + other.model
          + " has "
          + other.tables.size();
    }
    for (int i = 0; i < tables.size(); i++) {
      String own = tables.get(i).shape();
      String theirs = other.tables.get(i).shape();
      if (!own.equals(theirs)) {
        return own + " and " + theirs;
      }
    }
    return null;
  }

  /** Returns the bytes of all rows. */
  public long bytes() {
    return tables.stream().mapToLong(table -> table.rows * table.rowBytes()).sum();
  }

  /** Returns SHA-256 of all but the endpoints, in hex: the same rows have the same. */
  public String generation() {
    return HexFormat.of().formatHex(Digests.sha256(json(false).toString()));
  }

  /** Returns the manifest as JSON, fields in the order of this record. */
  public String toJson() {
    try {
      return MAPPER.writeValueAsString(json(true)) + "\n";
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e); // it is a tree
    }
  }

  private ObjectNode json(boolean withEndpoints) {
    ObjectNode root = MAPPER.createObjectNode();
    root.put("engram_manifest", VERSION).put("model", model).put("revision", revision);
    ArrayNode all = root.putArray("tables");
    for (SlicedTable table : tables) {
      ObjectNode one = all.addObject();
      one.put("layer", table.layer).put("name", table.name).put("type", table.type.name());
      one.put("rows", table.rows).put("head_dim", table.headDim);
      one.put("factor", table.factor);
      ArrayNode slices = one.putArray("slices");
      for (Slice slice : table.slices) {
        slices
            .addObject()
            .put("first", slice.first)
            .put("rows", slice.rows)
            .put("digest", slice.digest);
      }
    }
    if (withEndpoints) {
      ArrayNode list = root.putArray("endpoints");
      endpoints.forEach(list::add);
    }
    return root;
  }

  /**
   * Reads a manifest.
   *
   * @param path the file, or the directory that holds it
   * @throws IOException if it cannot be read, or slices leave gaps, overlap or are of no known type
   */
  public static Manifest read(Path path) throws IOException {
    Path file = Files.isDirectory(path) ? path.resolve(NAME) : path;
    if (!Files.isRegularFile(file)) {
      throw new IOException(file + " is no manifest of sliced tables: there is no such file");
    }
    if (Files.size(file) > MOST_BYTES) {
      throw new IOException(file + " has " + Files.size(file) + " bytes, too many for a manifest");
    }
    return parse(file.toString(), Files.readString(file));
  }

  /**
   * Reads a manifest.
   *
   * @param what where it comes from, for messages
   */
  public static Manifest parse(String what, String json) throws IOException {
    try {
      return ManifestReader.read(MAPPER.readTree(json));
    } catch (JsonProcessingException e) {
      throw new IOException(what + " is not valid JSON: " + e.getOriginalMessage(), e);
    } catch (IllegalArgumentException | ArithmeticException e) {
      throw new IOException(what + ": " + e.getMessage(), e);
    }
  }

  /** Writes the file, replacing one that is there. */
  public void write(Path file) throws IOException {
    Path part = file.resolveSibling(file.getFileName() + ".part");
    Files.write(part, toJson().getBytes(StandardCharsets.UTF_8));
    Files.move(
        part,
        file,
        java.nio.file.StandardCopyOption.ATOMIC_MOVE,
        java.nio.file.StandardCopyOption.REPLACE_EXISTING);
  }
}
