package io.engram4j.bench;

import io.engram4j.Backends;
import io.engram4j.kernel.Backend;
import io.engram4j.model.Dtype;
import io.engram4j.model.LayerLayout;
import io.engram4j.table.Placement;
import io.engram4j.table.Table;
import io.engram4j.table.TableOptions;
import io.engram4j.table.io.HeldTable;
import io.engram4j.table.io.TableFile;
import io.engram4j.table.io.TableOpener;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Locale;
import java.util.SplittableRandom;
import java.util.zip.CRC32C;

/**
 * A million random rows of a large table of random bytes, through every placement: as they are, and
 * widened by the backend's kernel where they are in memory. All checksums must be the same.
 */
final class SameRows {
  private static final int ROWS = 1_000_000;
  private static final int STEP = 4000;

  private SameRows() {}

  static void run(Path directory, LayerLayout layout) throws IOException {
    TableFile file = DecodeWeights.table(directory, layout);
    System.out.printf(Locale.ROOT, "%,d rows, %.2f GB%n", file.rows(), file.bytes() / 1e9);
    String expected = "";
    for (Placement placement : Placement.ofFiles()) {
      TableOptions options = TableOptions.defaults().placement(placement);
      try (Arena arena = Arena.ofShared();
          HeldTable held = new TableOpener(options).open(file, file.bytes(), arena)) {
        String sums = sums(held.table());
        expected = expected.isEmpty() ? sums : expected;
        System.out.printf(Locale.ROOT, "%-9s %s  %s%n", placement, sums, held.description());
        // what cannot be widened in place has one sum only
        if (!sums.equals(expected) && !expected.startsWith(sums)) {
          throw new IllegalStateException(placement + " has other rows than those before");
        }
      }
    }
    System.out.println("all the same");
  }

  /** Returns checksums of the rows, and of what the kernel makes of them. */
  private static String sums(Table table) {
    SplittableRandom random = new SplittableRandom(77);
    CRC32C bytes = new CRC32C();
    CRC32C floats = new CRC32C();
    Backend.Gather kernel =
        table.isInMemory() ? Backends.select().gather(table, Arena.global()) : null;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment ids = arena.allocate(8L * STEP, 64);
      MemorySegment rows = arena.allocate(STEP * table.rowBytes(), 64);
      MemorySegment wide = arena.allocate(4L * STEP * table.headDim(), 64);
      for (int done = 0; done < ROWS; done += STEP) {
        for (int i = 0; i < STEP; i++) {
          ids.setAtIndex(ValueLayout.JAVA_LONG, i, random.nextLong(table.rows()));
        }
        ids.setAtIndex(ValueLayout.JAVA_LONG, 0, done % 2 == 0 ? 0 : table.rows() - 1);
        table.read(ids, STEP, rows);
        bytes.update(rows.asByteBuffer());
        if (kernel != null) {
          kernel.run(ids, STEP, wide, Dtype.F32);
          floats.update(wide.asByteBuffer());
        }
      }
    }
    String sum = String.format(Locale.ROOT, "%08x", bytes.getValue());
    return kernel == null ? sum : sum + String.format(Locale.ROOT, " %08x", floats.getValue());
  }
}
