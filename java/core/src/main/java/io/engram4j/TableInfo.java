package io.engram4j;

import io.engram4j.table.Placement;
import io.engram4j.table.RowType;
import io.engram4j.table.Table;
import java.util.Optional;

/**
 * Where a layer's table is held.
 *
 * @param layer the model's layer
 * @param name what messages call it, such as the tensor's name
 * @param type how rows are stored
 * @param rows how many there are
 * @param bytes of all rows with their scales, in one copy
 * @param placement where they are, never {@link Placement#AUTO}; nothing if they lie in memory that
 *     the caller gave
 * @param copiedBytes memory of its own that all copies take; 0 where rows stay in files
 * @param hugePageBytes how many of those are in huge pages, -1 if the system does not tell
 * @param description what pages, what file system interface or how many reads at once, and why it
 *     was chosen; for people
 */
public record TableInfo(
    int layer,
    String name,
    RowType type,
    long rows,
    long bytes,
    Optional<Placement> placement,
    long copiedBytes,
    long hugePageBytes,
    String description) {

  static TableInfo of(int layer, Table table) {
    Optional<Table.Holding> holding = table.holding();
    Optional<Placement> placement = holding.map(Table.Holding::placement);
    long bytes = table.rows() * table.rowBytes();
    boolean copied =
        placement.filter(at -> at == Placement.RESIDENT || at == Placement.PINNED).isPresent();
    return new TableInfo(
        layer,
        table.name(),
        table.type(),
        table.rows(),
        bytes,
        placement,
        copied ? table.copies().size() * bytes : 0,
        holding.map(Table.Holding::hugePageBytes).orElse(-1L),
        holding.map(Table.Holding::description).orElse("memory of the caller"));
  }
}
