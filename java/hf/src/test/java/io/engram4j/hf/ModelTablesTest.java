package io.engram4j.hf;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.EngramModel;
import io.engram4j.TableInfo;
import io.engram4j.kernel.java.JavaBackend;
import io.engram4j.table.Placement;
import io.engram4j.table.RowType;
import io.engram4j.table.TableOptions;
import java.io.IOException;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A model tells where its tables are and why. */
class ModelTablesTest {
  @TempDir Path directory;
  @TempDir Path shared;

  @Test
  void tablesTellPlacementBytesPagesAndWhy() throws IOException {
    SmallModel.write(directory);
    Map<Placement, String> told = new EnumMap<>(Placement.class);
    told.put(Placement.MAPPED, "read through the page cache");
    told.put(Placement.RESIDENT, "ordinary pages, loaded at ");
    told.put(Placement.SHARED, "loaded into " + shared);
    told.put(Placement.STREAMED, "5 reads at once by threads");
    told.put(Placement.AUTO, "chosen since tables of 0.0 GB fit");
    for (Map.Entry<Placement, String> each : told.entrySet()) {
      TableOptions options =
          TableOptions.defaults().placement(each.getKey()).sharedDirectory(shared).queueDepth(5);
      try (EngramModel model = EngramDirectory.read(directory).open(new JavaBackend(), options)) {
        List<TableInfo> tables = model.tables();
        assertEquals(List.of(1, 3), tables.stream().map(TableInfo::layer).toList());
        TableInfo table = tables.getLast();
        assertEquals("layers.3.engram.embed.weight", table.name());
        assertEquals(RowType.F8_E4M3, table.type());
        assertEquals(120, table.rows());
        assertEquals(120 * 5, table.bytes());
        boolean auto = each.getKey() == Placement.AUTO;
        assertEquals(Optional.of(auto ? Placement.MAPPED : each.getKey()), table.placement());
        assertEquals(each.getKey() == Placement.RESIDENT ? 600 : 0, table.copiedBytes());
        assertEquals(0, table.hugePageBytes());
        assertTrue(table.description().contains(each.getValue()), table.toString());
      }
    }
  }
}
