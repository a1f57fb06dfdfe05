package io.engram4j.hf;

import com.fasterxml.jackson.databind.JsonNode;
import io.engram4j.format.Bfloat16;
import io.engram4j.gguf.GgmlType;
import io.engram4j.gguf.GgufFile;
import io.engram4j.gguf.GgufTensor;
import io.engram4j.table.RowType;
import io.engram4j.table.io.PackedFile;
import io.engram4j.table.io.TableFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Finds tables that lie without the rest of a model: an index or a directory of safetensors with
 * nothing but rows, packed files, a GGUF file, or raw files with a manifest (docs/tables.md).
 */
final class RowTables {
  private static final String MANIFEST = "engram-rows.json";
  private static final String MLX_MANIFEST = "engram-manifest.json";
  private static final long MAX_BYTES = 16 << 20;
  private static final int V41_WIDTH = 256;
  private static final int PLE_WIDTH = 160;
  private static final Pattern PACKED = Pattern.compile("engram-layer-(\\d{1,6})\\.rows");
  private static final Pattern RAW = Pattern.compile("engram-L(\\d{1,6})\\.bin");
  private static final Pattern GGUF =
      Pattern.compile("blk\\.(\\d{1,6})\\.engram_emb(?:e)?d\\.weight");
  private static final Pattern TENSOR =
      Pattern.compile(
          "layers\\.(\\d{1,6})\\.(?:engram\\.(?:embed|multi_head_embedding\\.embedding)\\.weight"
              + "|ple\\.ple_embedding\\.ngram_embedding\\.shards?[_.]\\d+\\.weight)");

  private RowTables() {}

  /**
   * Finds the tables.
   *
   * @return by the layer that they are of
   * @throws IOException if there are none, or what there is is broken
   */
  static NavigableMap<Integer, TableFile> find(Path given) throws IOException {
    Path path = HubCache.resolve(given);
    NavigableMap<Integer, TableFile> found = new TreeMap<>();
    if (Files.isDirectory(path)) {
      inDirectory(path, found);
    } else if (path.toString().endsWith(".rows")) {
      packed(path, found);
    } else if (isOfDirectory(String.valueOf(path.getFileName()))) {
      safetensors(path.toAbsolutePath().resolveSibling(""), found);
    } else if (path.toString().endsWith(".json")) {
      manifest(path, found);
    } else {
      gguf(GgufFile.open(path), found);
    }
    if (found.isEmpty()) {
      throw new IOException(path + " has no tables of rows");
    }
    return found;
  }

  private static boolean isOfDirectory(String name) {
    return name.equals("config.json")
        || name.endsWith(".safetensors")
        || name.endsWith(".safetensors.index.json");
  }

  private static void inDirectory(Path directory, Map<Integer, TableFile> found)
      throws IOException {
    for (String name : List.of(MANIFEST, MLX_MANIFEST)) {
      if (Files.exists(directory.resolve(name))) {
        manifest(directory.resolve(name), found);
        return;
      }
    }
    List<Path> files;
    try (Stream<Path> all = Files.list(directory)) {
      files = all.sorted().toList();
    }
    for (Path file : files) {
      if (PACKED.matcher(String.valueOf(file.getFileName())).matches()) {
        packed(file, found);
      }
    }
    boolean shards = files.stream().anyMatch(f -> isOfDirectory(f.getFileName().toString()));
    List<Path> ggufs = EngramModels.ggufs(directory);
    if (found.isEmpty() && (shards || ggufs.size() != 1)) {
      safetensors(directory, found);
    }
    if (found.isEmpty() && ggufs.size() == 1) { // other safetensors may lie beside it
      gguf(GgufFile.open(ggufs.getFirst()), found);
    }
  }

  private static void packed(Path file, Map<Integer, TableFile> found) throws IOException {
    Matcher name = PACKED.matcher(String.valueOf(file.getFileName()));
    found.put(name.matches() ? Integer.parseInt(name.group(1)) : 0, PackedFile.open(file).table());
  }

  private static void gguf(GgufFile file, Map<Integer, TableFile> found) throws IOException {
    for (GgufTensor tensor : file.tensors().values()) {
      Matcher name = GGUF.matcher(tensor.name());
      boolean ple = tensor.name().equals("per_layer_token_embd.weight");
      if (!ple && !name.matches()) {
        continue;
      }
      int layer = ple ? pleLayer(file) : Integer.parseInt(name.group(1));
      boolean row264 = tensor.type() == GgmlType.I8;
      long rowBytes = RowType.F8_E4M3.rowBytes(V41_WIDTH);
      if (row264 && tensor.width() != rowBytes) {
        throw new IOException(
            tensor.file()
                + ": tensor "
                + tensor.name()
                + " has rows of "
                + tensor.width()
                + " I8, not "
                + rowBytes);
      }
      RowType type = row264 ? RowType.F8_E4M3 : GgufLayer.rowType(tensor);
      int width = row264 ? V41_WIDTH : Math.toIntExact(tensor.width());
      found.put(
          layer,
          TableFile.interleaved(
              tensor.name(), type, tensor.rows(), width, 1, tensor.file(), tensor.offset()));
    }
  }

  private static int pleLayer(GgufFile file) throws IOException {
    long[] layers = file.integers("qwen4exp.ple.layers").orElse(new long[1]);
    return layers.length == 1 ? Math.toIntExact(layers[0]) : 0;
  }

  private static void safetensors(Path directory, Map<Integer, TableFile> found)
      throws IOException {
    ShardIndex index = ShardIndex.read(directory);
    for (String name : index.names("layers.")) {
      Matcher matcher = TENSOR.matcher(name);
      if (!matcher.matches()) {
        continue;
      }
      int layer = Integer.parseInt(matcher.group(1));
      if (found.containsKey(layer)) {
        continue;
      }
      Checkpoint checkpoint =
          name.contains(".ple.")
              ? new QwenPle()
              : name.contains(".embed.") ? new DeepSeekV41() : new PaperDemo();
      FoundTensors tensors = new FoundTensors(checkpoint.prefix(layer), index);
      RowTensors rows = new RowTensors(tensors, name.contains(".ple.") ? PLE_WIDTH : V41_WIDTH);
      checkpoint.findRows(tensors, rows, -1);
      if (!tensors.problems().isEmpty()) {
        throw new IOException(directory + ": " + String.join("; ", tensors.problems()));
      }
      found.put(layer, rows.table());
    }
  }

  /** Ours names type, width and files; MLX's lies beside files whose names and sizes tell. */
  private static void manifest(Path file, Map<Integer, TableFile> found) throws IOException {
    JsonNode root = Json.readObject(file, MAX_BYTES);
    if (!root.has("tables")) {
      raw(file.toAbsolutePath().resolveSibling(""), found);
      return;
    }
    for (JsonNode table : root.get("tables")) {
      String name = table.path("file").asText();
      if (!name.matches("[\\w.-]+") || name.startsWith(".")) {
        throw new IOException(file + ": a table's file " + table.path("file") + " is no file name");
      }
      RowType type = type(file, root.path("row_type").asText());
      int width = root.path("width").asInt();
      long offset = table.path("offset").asLong(0);
      if (width < 1 || width > 1 << 20 || offset < 0) {
        throw new IOException(
            file + ": rows of " + width + " from byte " + offset + " on are impossible");
      }
      Path data = file.resolveSibling(name);
      long rows = table.path("rows").asLong(-1);
      rows = rows > 0 ? rows : rowsOf(data, offset, type.rowBytes(width));
      if (rows > (Files.size(data) - offset) / type.rowBytes(width)) {
        throw new IOException(
            file + ": " + name + " has no room for " + rows + " rows from byte " + offset + " on");
      }
      float given = (float) root.path("factor").asDouble(1);
      // as engines round the one scale of a checkpoint
      float factor = type == RowType.F4_E2M1 ? given : Bfloat16.round(given);
      found.put(
          table.path("layer").asInt(0),
          TableFile.interleaved(name, type, rows, width, factor, data, offset));
    }
  }

  private static RowType type(Path file, String name) throws IOException {
    for (RowType type : RowType.values()) {
      if (type.name().equals(name)) {
        return type;
      }
    }
    throw new IOException(
        file + ": row_type is '" + name + "', not one of " + List.of(RowType.values()));
  }

  private static void raw(Path directory, Map<Integer, TableFile> found) throws IOException {
    List<Path> files;
    try (Stream<Path> all = Files.list(directory)) {
      files = all.sorted().toList();
    }
    long rowBytes = RowType.F8_E4M3.rowBytes(V41_WIDTH);
    for (Path file : files) {
      Matcher name = RAW.matcher(String.valueOf(file.getFileName()));
      if (name.matches()) {
        found.put(
            Integer.parseInt(name.group(1)),
            TableFile.interleaved(
                name.group(), RowType.F8_E4M3, rowsOf(file, 0, rowBytes), V41_WIDTH, 1, file, 0));
      }
    }
  }

  private static long rowsOf(Path file, long offset, long rowBytes) throws IOException {
    long bytes = Files.size(file) - offset;
    if (bytes < rowBytes || bytes % rowBytes != 0) {
      throw new IOException(
          file + " has " + bytes + " bytes of rows, which are no multiple of " + rowBytes);
    }
    return bytes / rowBytes;
  }
}
