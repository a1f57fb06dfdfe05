package io.engram4j.run;

import io.engram4j.kernel.Backend;
import io.engram4j.table.RowOverlay;
import java.lang.foreign.MemorySegment;

/** How a layer projects: anew each time, or with what is remembered. Thread-safe. */
public interface ProjectStage {
  /**
   * Projects one block.
   *
   * @param projector the threads of the step that asks
   * @param windows int32 [tokens, maxNgram]
   * @param rowIds int64 [tokens, columns]
   * @param rows float32 [tokens, inputs]
   * @param replaced which rows are not the table's own
   * @param kv float32 [tokens, outputs], written
   */
  void run(
      Projector projector,
      MemorySegment windows,
      MemorySegment rowIds,
      MemorySegment rows,
      RowOverlay.Rows replaced,
      int tokens,
      MemorySegment kv);

  /** Projects all rows with the layer's kernel. */
  static ProjectStage plain(Backend.Project kernel, int outputs) {
    return (projector, windows, rowIds, rows, replaced, tokens, kv) ->
        projector.run(kernel, rows, tokens, outputs, kv);
  }
}
