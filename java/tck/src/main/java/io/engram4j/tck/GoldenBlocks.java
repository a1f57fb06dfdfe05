package io.engram4j.tck;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.engram4j.hf.SafetensorsFile;
import io.engram4j.hf.TensorData;
import io.engram4j.hf.TensorInfo;
import io.engram4j.kernel.Backend;
import io.engram4j.model.Dtype;
import io.engram4j.table.RowType;
import io.engram4j.table.Table;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** Blocks of every type that GGUF files have, and what they stand for, by a backend's gather. */
final class GoldenBlocks {
  private GoldenBlocks() {}

  /** Compares each type's blocks, and returns how many types there are. */
  static int check(Backend backend, Path file, List<String> failures) throws IOException {
    Map<String, TensorInfo> tensors = SafetensorsFile.open(file).tensors();
    int types = 0;
    for (TensorInfo raw : tensors.values()) {
      if (!raw.name().endsWith(".raw")) {
        continue;
      }
      String name = raw.name().substring(0, raw.name().length() - 4);
      TensorInfo values = tensors.get(name + ".values");
      if (values == null) {
        throw new IOException(file + " has no tensor " + name + ".values");
      }
      types++;
      TensorResult result = compare(backend, RowType.valueOf(name), raw, values);
      if (!result.passed()) {
        failures.add("blocks " + result);
      }
    }
    return types;
  }

  private static TensorResult compare(
      Backend backend, RowType type, TensorInfo raw, TensorInfo values) throws IOException {
    long rows = values.shape().getFirst();
    int width = Math.toIntExact(values.shape().getLast());
    try (Arena arena = Arena.ofShared()) {
      Table table =
          Table.interleaved(raw.name(), type, rows, width, SafetensorsFile.read(raw, arena));
      MemorySegment ids = arena.allocate(JAVA_LONG, rows);
      for (long row = 0; row < rows; row++) {
        ids.setAtIndex(JAVA_LONG, row, row);
      }
      MemorySegment out = arena.allocate(JAVA_FLOAT, rows * width);
      backend.gather(table, arena).run(ids, rows, out, Dtype.F32);
      return Compare.exact(values.name(), unsigned(out), unsigned(TensorData.floats(values)));
    }
  }

  private static float[] unsigned(MemorySegment values) {
    return unsigned(values.toArray(JAVA_FLOAT));
  }

  /** The sign of a zero means nothing. */
  private static float[] unsigned(float[] values) {
    for (int i = 0; i < values.length; i++) {
      values[i] = values[i] == 0 ? 0 : values[i];
    }
    return values;
  }
}
