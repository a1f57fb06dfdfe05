package io.engram4j.table.io;

import io.engram4j.table.Placement;
import io.engram4j.table.Table;
import java.io.Closeable;
import java.io.IOException;
import org.jspecify.annotations.Nullable;

/**
 * A table that was opened. To be closed when no call uses it any more; its memory ends with the
 * arena it was opened in.
 *
 * @param table the table
 * @param placement where its rows are, never {@link Placement#AUTO}
 * @param description what that came to, and why it was chosen
 * @param files what is open beside the arena's memory, or null
 */
public record HeldTable(
    Table table, Placement placement, String description, @Nullable Closeable files)
    implements Closeable {
  @Override
  public void close() throws IOException {
    if (files != null) {
      files.close();
    }
  }
}
