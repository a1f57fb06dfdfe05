package io.engram4j.hf;

import io.engram4j.table.RemoteTables.RemoteTable;
import io.engram4j.table.Table;
import io.engram4j.table.TableOptions;
import io.engram4j.table.io.HeldTable;
import io.engram4j.table.io.TableFile;
import io.engram4j.table.io.TableOpener;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The tables and mapped weights of one open model: closed together. */
final class OpenTables implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(OpenTables.class);

  private final TableOpener opener;
  private final List<HeldTable> held = new ArrayList<>();
  private final Arena arena;

  OpenTables(TableOptions options) {
    this.opener = new TableOpener(options);
    this.arena = Arena.ofShared(); // the last, as nobody closes what was not made to the end
  }

  Arena arena() {
    return arena;
  }

  /** Opens a table; {@code maps} as {@link TableOpener#open} has it. */
  Table open(TableFile file, long bytesOfAll, boolean maps) throws IOException {
    return hold(opener.open(file, bytesOfAll, maps, arena));
  }

  /** Opens a table of other machines. */
  Table open(RemoteTable remote) throws IOException {
    return hold(opener.open(remote));
  }

  private Table hold(HeldTable table) throws IOException {
    try {
      held.add(table);
    } catch (Throwable e) {
      table.close();
      throw e;
    }
    log.info("{}: {} ({})", table.table().name(), table.placement(), table.description());
    return table.table();
  }

  @Override
  public void close() throws IOException {
    IOException failed = null;
    for (HeldTable table : held) {
      try {
        table.close();
      } catch (IOException e) {
        failed = e;
      }
    }
    arena.close();
    if (failed != null) {
      throw failed;
    }
  }
}
