package io.engram4j.remote;

import com.fasterxml.jackson.databind.JsonNode;
import io.engram4j.remote.Manifest.Slice;
import io.engram4j.remote.Manifest.SlicedTable;
import io.engram4j.table.RowType;
import java.util.ArrayList;
import java.util.List;

/** Reads a manifest's fields, each of which must be there and of its kind. */
final class ManifestReader {
  private static final String DIGEST = "[0-9a-f]{64}";

  private ManifestReader() {}

  static Manifest read(JsonNode root) {
    int version = (int) number(root, "engram_manifest");
    if (version != 1) {
      throw new IllegalArgumentException(
          "it has version " + version + ", but this reads version 1");
    }
    List<SlicedTable> tables = new ArrayList<>();
    for (JsonNode table : list(root, "tables")) {
      tables.add(table(table));
    }
    List<String> endpoints = new ArrayList<>();
    for (JsonNode endpoint : list(root, "endpoints")) {
      endpoints.add(endpoint.asText());
    }
    return new Manifest(text(root, "model"), text(root, "revision"), tables, endpoints);
  }

  private static SlicedTable table(JsonNode table) {
    List<Slice> slices = new ArrayList<>();
    for (JsonNode slice : list(table, "slices")) {
      String digest = text(slice, "digest");
      if (!digest.matches(DIGEST)) {
        throw new IllegalArgumentException("a digest is " + digest + ", not 64 digits of hex");
      }
      slices.add(new Slice(number(slice, "first"), number(slice, "rows"), digest));
    }
    return new SlicedTable(
        Math.toIntExact(number(table, "layer")),
        text(table, "name"),
        RowType.valueOf(text(table, "type")),
        number(table, "rows"),
        Math.toIntExact(number(table, "head_dim")),
        factor(table),
        slices);
  }

  private static float factor(JsonNode table) {
    JsonNode value = field(table, "factor");
    if (!value.isNumber() || !Float.isFinite(value.floatValue())) {
      throw new IllegalArgumentException("the field factor is " + value + ", no number");
    }
    return value.floatValue();
  }

  private static JsonNode field(JsonNode of, String name) {
    JsonNode value = of.get(name);
    if (value == null || value.isNull()) {
      throw new IllegalArgumentException("there is no field " + name);
    }
    return value;
  }

  private static long number(JsonNode of, String name) {
    JsonNode value = field(of, name);
    if (!value.canConvertToLong() || !value.isIntegralNumber() || value.asLong() < 0) {
      throw new IllegalArgumentException("the field " + name + " is " + value + ", no number");
    }
    return value.asLong();
  }

  private static String text(JsonNode of, String name) {
    JsonNode value = field(of, name);
    if (!value.isTextual()) {
      throw new IllegalArgumentException("the field " + name + " is " + value + ", no text");
    }
    return value.asText();
  }

  private static JsonNode list(JsonNode of, String name) {
    JsonNode value = field(of, name);
    if (!value.isArray()) {
      throw new IllegalArgumentException("the field " + name + " is no list");
    }
    return value;
  }
}
