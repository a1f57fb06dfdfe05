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
 * @param table the table, which knows how it is held
 * @param files what is open beside the arena's memory, or null
 */
public record HeldTable(Table table, @Nullable Closeable files) implements Closeable {
  static HeldTable of(
      Table table, Placement placement, String description, @Nullable Closeable files) {
    return new HeldTable(table.heldAs(new Table.Holding(placement, 0, description)), files);
  }

  /** Returns where its rows are, never {@link Placement#AUTO}. */
  public Placement placement() {
    return table.holding().orElseThrow().placement();
  }

  /** Returns what that came to, and why it was chosen. */
  public String description() {
    return table.holding().orElseThrow().description();
  }

  @Override
  public void close() throws IOException {
    if (files != null) {
      files.close();
    }
  }
}
