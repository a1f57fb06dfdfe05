package io.engram4j.table.io;

import io.engram4j.host.Host;
import io.engram4j.host.Limits;
import io.engram4j.table.NumaPolicy;
import io.engram4j.table.Placement;
import io.engram4j.table.Table;
import io.engram4j.table.TableOptions;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Copies tables into memory, on the NUMA nodes that the options say. Thread-safe. */
final class ResidentRows {
  private final TableOptions options;
  private final Host host;

  ResidentRows(TableOptions options, Host host) {
    this.options = options;
    this.host = host;
  }

  /**
   * Opens a table.
   *
   * @param arena the memory ends with it
   * @throws IOException if the files cannot be read, or there is no memory
   */
  HeldTable open(TableFile file, Placement placement, Arena arena) throws IOException {
    int count = options.numa() == NumaPolicy.COPY_PER_NODE ? host.numa().nodes() : 1;
    long free = Limits.availableMemory();
    if (file.bytes() > free / count) {
      throw new IOException(
          file.name()
              + (count == 1 ? " takes " : " takes " + count + " times ")
              + file.bytes()
              + " bytes, but only "
              + free
              + " bytes of memory are available");
    }
    List<MemorySegment> copies = new ArrayList<>();
    for (int node = 0; node < count; node++) {
      MemorySegment rows = host.memory().allocate(file.bytes(), arena);
      switch (options.numa()) {
        case FIRST_TOUCH -> {}
        case BIND -> host.numa().spread(rows, host.numa().node());
        case INTERLEAVE -> host.numa().spread(rows, -1);
        case COPY_PER_NODE -> host.numa().spread(rows, node);
      }
      if (placement == Placement.PINNED) {
        host.memory().lock(rows);
      }
      copies.add(rows);
    }
    long start = System.nanoTime();
    new Loader(file, options).load(copies);
    double seconds = (System.nanoTime() - start) / 1e9;
    List<Table> tables = new ArrayList<>();
    for (MemorySegment rows : copies) {
      Table copy = Table.interleaved(file.name(), file.type(), file.rows(), file.headDim(), rows);
      tables.add(file.type().hasFactor() ? copy.withFactor(file.factor()) : copy);
    }
    Table table = count == 1 ? tables.getFirst() : Table.copied(tables, host.numa()::node);
    long huge = 0;
    for (MemorySegment rows : copies) {
      long own = host.memory().hugePageBytes(rows);
      huge = own < 0 ? -1 : huge + own;
    }
    String description =
        String.format(
            Locale.ROOT,
            "%s%s%s, loaded at %.1f GB/s",
            pages(huge, count * file.bytes()),
            nodes(count),
            placement == Placement.PINNED ? ", locked" : "",
            file.bytes() / 1e9 / Math.max(seconds, 1e-9));
    return new HeldTable(table.heldAs(new Table.Holding(placement, huge, description)), null);
  }

  private static String pages(long huge, long bytes) {
    long percent = Math.min(100, huge * 100 / Math.max(1, bytes));
    return huge < 0
        ? "pages of unknown size"
        : percent == 0 ? "ordinary pages" : percent + " % in huge pages";
  }

  private String nodes(int copies) {
    return switch (options.numa()) {
      case FIRST_TOUCH -> "";
      case BIND -> ", on one of " + host.numa().nodes() + " nodes";
      case INTERLEAVE -> ", on all of " + host.numa().nodes() + " nodes";
      case COPY_PER_NODE -> ", a copy on each of " + copies + " nodes";
    };
  }
}
