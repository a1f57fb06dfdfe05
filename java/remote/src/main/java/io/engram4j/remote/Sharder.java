package io.engram4j.remote;

import io.engram4j.hf.DirectoryPacker;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.hf.ModelFiles;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.EngramLayout;
import io.engram4j.remote.Manifest.Slice;
import io.engram4j.remote.Manifest.SlicedTable;
import io.engram4j.table.Table;
import io.engram4j.table.io.PackedFile;
import io.engram4j.table.io.Packer;
import io.engram4j.table.io.TableFile;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.LongConsumer;

/**
 * Cuts a model's tables into slices, at the borders of heads, so that each token wants equally many
 * rows of each.
 */
public final class Sharder {
  private final ModelFiles source;
  private final String model;
  private final String revision;
  private final int slices;

  /**
   * Prepares to cut.
   *
   * @param model what the manifest calls the model
   * @param revision by which people tell one training from the next
   * @param slices of each table, at most as many as it has heads
   */
  public Sharder(ModelFiles source, String model, String revision, int slices) {
    int heads = source.config().columns();
    if (slices < 1 || slices > heads) {
      throw new IllegalArgumentException(
          slices + " slices; a table of " + heads + " heads has 1 to " + heads);
    }
    this.source = source;
    this.model = model;
    this.revision = revision;
    this.slices = slices;
  }

  /** Returns a slice's file. */
  public static Path file(Path directory, int layer, int slice) {
    return directory.resolve("engram-layer-" + layer + ".slice-" + slice + ".rows");
  }

  /** Returns the bytes of all rows. */
  public long bytes() throws IOException {
    long bytes = 0;
    for (int layer : source.config().layerIds()) {
      bytes += source.tableFile(layer).bytes();
    }
    return bytes;
  }

  /**
   * Writes slices, manifest, and what else of the model a client needs. Started again after it was
   * ended in the midst, it goes on where it was.
   *
   * @param threads how many read and write at once
   * @param progress hears of bytes of rows that are done, from any thread
   * @throws IOException if the source is not complete, cannot be read, or there is no room
   */
  public Manifest shard(Path target, int threads, LongConsumer progress) throws IOException {
    Files.createDirectories(target);
    Manifest manifest =
        describe((table, layer, slice) ->
            Packer.pack(table, file(target, layer, slice), threads, progress).digest());
    if (source instanceof EngramDirectory directory) {
      new DirectoryPacker(directory, target, threads, progress).packRest();
    }
    manifest.write(target.resolve(Manifest.NAME));
    return manifest;
  }

  /**
   * Makes the manifest without writing slices, for an engine that takes rows as they are.
   *
   * @param progress hears of bytes of rows that are read, from any thread
   */
  public Manifest manifest(int threads, LongConsumer progress) throws IOException {
    return describe((table, layer, slice) -> PackedFile.digest(table, threads, progress));
  }

  /**
   * Puts all rows into an engine that holds rows itself, such as {@code redis://host:6379}, and has
   * them served when they are there. Rows are read twice: their digests are in their keys, so that
   * a load that was ended goes on, and never changes rows that are being served.
   *
   * @param progress hears of bytes of rows that are read and sent, twice {@link #bytes} in all
   * @throws IllegalArgumentException if no engine takes the address
   */
  public Manifest load(String address, int threads, LongConsumer progress) throws IOException {
    RowEngine engine = SlicedTables.engine(address);
    Manifest manifest = manifest(threads, progress);
    try (Arena arena = Arena.ofShared()) {
      Map<Integer, Table> tables = new HashMap<>();
      for (SlicedTable table : manifest.tables()) {
        tables.put(table.layer(), source.tableFile(table.layer()).map(arena));
      }
      engine.load(
          address,
          manifest,
          (table, first, count, to) -> {
            try (Arena own = Arena.ofConfined()) {
              MemorySegment ids = own.allocate(8L * count);
              for (int i = 0; i < count; i++) {
                ids.setAtIndex(ValueLayout.JAVA_LONG, i, first + i);
              }
              Objects.requireNonNull(tables.get(table.layer())).read(ids, count, to);
            }
          },
          threads,
          progress);
    }
    return manifest;
  }

  /** Makes a slice's digest. */
  private interface Digester {
    String digest(TableFile rows, int layer, int slice) throws IOException;
  }

  private Manifest describe(Digester digester) throws IOException {
    EngramConfig config = source.config();
    List<long[]> primes = EngramLayout.primes(config);
    List<SlicedTable> tables = new ArrayList<>();
    for (int i = 0; i < primes.size(); i++) {
      int layer = config.layerIds().get(i);
      TableFile table = source.tableFile(layer);
      long[] borders = borders(primes.get(i), table.rows());
      List<Slice> own = new ArrayList<>();
      for (int slice = 0; slice < slices; slice++) {
        long rows = borders[slice + 1] - borders[slice];
        TableFile some = table.slice(borders[slice], rows);
        own.add(new Slice(borders[slice], rows, digester.digest(some, layer, slice)));
      }
      tables.add(
          new SlicedTable(
              layer,
              table.name(),
              table.type(),
              table.rows(),
              table.headDim(),
              table.factor(),
              own));
    }
    return new Manifest(model, revision, tables, List.of());
  }

  /** The first rows of slices; what is padded behind the heads belongs to the last. */
  private long[] borders(long[] primes, long rows) {
    long[] borders = new long[slices + 1];
    long row = 0;
    for (int column = 0, slice = 1; slice < slices; slice++) {
      for (int end = slice * primes.length / slices; column < end; column++) {
        row += primes[column];
      }
      borders[slice] = row;
    }
    borders[slices] = rows;
    return borders;
  }

  /**
   * Opens a slice that was written, and holds it to the manifest.
   *
   * @throws IOException if it is missing, damaged, or of other rows
   */
  public static PackedFile open(Path directory, Manifest manifest, int layer, int slice)
      throws IOException {
    Path file = file(directory, layer, slice);
    PackedFile packed = PackedFile.open(file);
    SlicedTable table = manifest.table(layer);
    Slice wanted = table.slices().get(slice);
    if (!packed.digest().equals(wanted.digest())) {
      throw new IOException(
          file + " has digest " + packed.digest() + ", but the manifest gives " + wanted.digest());
    }
    return packed;
  }
}
