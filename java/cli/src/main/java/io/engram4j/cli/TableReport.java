package io.engram4j.cli;

import io.engram4j.hf.EngramModels;
import io.engram4j.hf.ModelFiles;
import io.engram4j.table.io.TableFile;
import io.engram4j.table.io.TableOpener;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** What a model's tables are, and how much of each the system holds in memory just now. */
final class TableReport {
  private final Path directory;
  private final Output output;

  TableReport(Path directory, Output output) {
    this.directory = directory;
    this.output = output;
  }

  void write(Map<String, @Nullable Object> json) throws IOException {
    ModelFiles model = EngramModels.read(directory, null);
    List<List<String>> rows = new ArrayList<>();
    List<Map<String, Object>> objects = new ArrayList<>();
    for (int layer : model.config().layerIds()) {
      TableFile file = model.tableFile(layer);
      Path path = file.weight().file();
      long cached = TableOpener.inPageCache(file);
      String form = file.isInterleaved() ? "packed" : "shards";
      String disk = fileSystem(path);
      Map<String, Object> object = new LinkedHashMap<>();
      object.put("layer", layer);
      object.put("table", file.name());
      object.put("file", path.toString());
      object.put("file_system", disk);
      object.put("form", form);
      object.put("dtype", file.type().toString());
      object.put("rows", file.rows());
      object.put("bytes", file.bytes());
      object.put("in_memory_bytes", cached < 0 ? null : cached);
      objects.add(object);
      rows.add(
          List.of(
              Integer.toString(layer),
              path.getFileName() + " (" + form + ", " + disk + ")",
              Text.count(file.rows()) + " x " + file.headDim() + " " + file.type(),
              Text.bytes(file.bytes()),
              cached < 0
                  ? "unknown"
                  : String.format(Locale.ROOT, "%.1f %%", 100.0 * cached / file.bytes())));
    }
    json.put("tables", objects);
    output.table(List.of("layer", "table in", "rows", "size", "in memory"), rows);
  }

  private static String fileSystem(Path path) {
    try {
      return Files.getFileStore(path).type();
    } catch (IOException e) {
      return "unknown"; // the mounts have no entry for it, as in a chroot
    }
  }
}
