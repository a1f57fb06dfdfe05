package io.engram4j.table.io;

import io.engram4j.host.Digests;
import io.engram4j.host.Host;
import io.engram4j.host.HostFiles;
import io.engram4j.host.Hosts;
import io.engram4j.host.Limits;
import io.engram4j.host.Mounts;
import io.engram4j.host.OwnDirectory;
import io.engram4j.table.NumaPolicy;
import io.engram4j.table.Placement;
import io.engram4j.table.RemoteTables.RemoteTable;
import io.engram4j.table.RowSeed;
import io.engram4j.table.RowSource;
import io.engram4j.table.RowType;
import io.engram4j.table.Shard;
import io.engram4j.table.Table;
import io.engram4j.table.TableOptions;
import java.io.Closeable;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Opens tables where the options say. Thread-safe. */
public final class TableOpener {
  private static final Logger LOG = LoggerFactory.getLogger(TableOpener.class);

  private final TableOptions options;
  private final Host host;

  /** An opener with these options. */
  public TableOpener(TableOptions options) {
    this(options, Hosts.find());
  }

  TableOpener(TableOptions options, Host host) {
    this.options = options;
    this.host = host;
  }

  /** Returns the bytes of memory that tables may take here, a container's limit counted in. */
  public static long availableMemory() {
    return Limits.availableMemory();
  }

  /** Returns what {@link Placement#AUTO} chooses for tables of so many bytes together. */
  public static Placement automatic(long bytesOfAll, long freeMemory) {
    return bytesOfAll <= freeMemory / 10 * 9 ? Placement.MAPPED : Placement.STREAMED;
  }

  /**
   * Opens a table.
   *
   * @param bytesOfAll bytes of all tables that are opened together, for {@link Placement#AUTO}
   * @param arena memory and mappings end with it
   * @throws IOException if files cannot be read, or there is no memory; the message has the numbers
   */
  public HeldTable open(TableFile file, long bytesOfAll, Arena arena) throws IOException {
    return open(file, bytesOfAll, true, arena);
  }

  /**
   * Does the same.
   *
   * @param maps whether the backend takes mapped files; else rows are read from them
   */
  public HeldTable open(TableFile file, long bytesOfAll, boolean maps, Arena arena)
      throws IOException {
    String why = "";
    Placement placement = options.placement();
    if (placement == Placement.AUTO) {
      long free = Limits.availableMemory();
      placement = automatic(bytesOfAll, free);
      why =
          String.format(
              Locale.ROOT,
              ", chosen since tables of %.1f GB %s into %.1f GB of free memory",
              bytesOfAll / 1e9,
              placement == Placement.MAPPED ? "fit" : "do not fit",
              free / 1e9);
    }
    requireEffect(placement);
    LoadEvent event = new LoadEvent();
    event.begin();
    HeldTable held =
        switch (placement) {
          case RESIDENT, PINNED -> new ResidentRows(options, host).open(file, placement, arena);
          case SHARED -> shared(file, maps, arena);
          case STREAMED -> streamed(file, why);
          case REMOTE ->
              throw new IllegalArgumentException(
                  file.name() + " lies in a file, but the options name tables of other machines");
          default -> maps ? mapped(file, why, arena) : read(file, Placement.MAPPED, why);
        };
    event.table = file.name();
    event.placement = held.placement().toString();
    event.description = held.description();
    event.commit();
    return held;
  }

  /**
   * Opens a table of other machines.
   *
   * @throws IllegalArgumentException if options have no effect there
   */
  public HeldTable open(RemoteTable remote) throws IOException {
    requireEffect(Placement.REMOTE);
    TableShape shape =
        new TableShape(
            remote.name(), remote.type(), remote.rows(), remote.headDim(), remote.factor());
    return held(shape, Placement.REMOTE, remote.source(), () -> {}, remote.description());
  }

  /** A table without its rows. */
  private record TableShape(String name, RowType type, long rows, int headDim, float factor) {
    static TableShape of(TableFile file) {
      return new TableShape(file.name(), file.type(), file.rows(), file.headDim(), file.factor());
    }

    Table readBy(RowSource source) {
      Table table = Table.streamed(name, type, rows, headDim, source);
      return type.hasFactor() ? table.withFactor(factor) : table;
    }

    int rowBytes() {
      return Math.toIntExact(type.rowBytes(headDim));
    }
  }

  /** Options without effect are a mistake that nobody would see. */
  private void requireEffect(Placement placement) {
    boolean copies = placement.copies();
    boolean chosen = options.placement() != Placement.AUTO;
    if (options.seed() != null && options.cacheBytes() == 0) {
      throw new IllegalArgumentException("a seed of rows needs a cache; there are 0 bytes for one");
    }
    if (chosen && copies && options.cacheBytes() > 0) {
      throw new IllegalArgumentException(
          "a cache of " + options.cacheBytes() + " bytes has no effect: tables are " + placement);
    }
    boolean onNodes = placement == Placement.RESIDENT || placement == Placement.PINNED;
    if (chosen && !onNodes && options.numa() != NumaPolicy.FIRST_TOUCH) {
      throw new IllegalArgumentException(
          "NUMA policy " + options.numa() + " has no effect: tables are " + placement);
    }
  }

  /** Rows of mapped placements for a backend that takes no mapping. */
  private HeldTable read(TableFile file, Placement placement, String why) throws IOException {
    String description = "read through the page cache" + why;
    TableShape shape = TableShape.of(file); // first, for what is open must not be lost
    FileRows rows = new FileRows(file);
    return held(shape, placement, rows, rows, description);
  }

  /** A table whose rows are read, from a cache if there is one. */
  private HeldTable held(
      TableShape table, Placement placement, RowSource rows, Closeable files, String description)
      throws IOException {
    Closeable closeable = files;
    try {
      RowSource reader = rows;
      String form = description;
      if (options.cacheBytes() > 0) {
        RowCache cache = cache(table, rows);
        reader = cache;
        closeable = watch(table.name(), cache, files);
        form += ", " + cache.capacity() + " rows cached";
      }
      return HeldTable.of(table.readBy(reader), placement, form, closeable);
    } catch (Throwable e) {
      closeable.close();
      throw e;
    }
  }

  private static CacheWatch watch(String table, RowCache cache, Closeable files) {
    try {
      return new CacheWatch(table, cache, files);
    } catch (Throwable e) {
      cache.close();
      throw e;
    }
  }

  private HeldTable mapped(TableFile file, String why, Arena arena) throws IOException {
    for (Path path : file.files()) {
      String type = Mounts.served(path);
      if (type != null && options.placement() == Placement.AUTO) {
        return streamed(file, ", chosen since " + type + " may be lost while it is mapped");
      }
      if (type != null) {
        LOG.warn(
            "{} lies on {}: if that is lost, reading its mapped rows fails or ends the process;"
                + " take streamed",
            path,
            type);
      }
    }
    String form = (file.isInterleaved() ? "packed file" : "original shards") + why;
    TableShape shape = TableShape.of(file);
    FileRows rows = new FileRows(file);
    if (options.cacheBytes() > 0) {
      return held(shape, Placement.MAPPED, rows, rows, form);
    }
    try {
      Table table = file.map(arena).ofFile(host.files(), rows);
      for (Shard shard : table.shards()) {
        host.files().random(shard.weight());
        if (shard.scale() != null) {
          host.files().random(shard.scale());
        }
        if (shard.bias() != null) {
          host.files().random(shard.bias());
        }
      }
      return HeldTable.of(table, Placement.MAPPED, form, rows);
    } catch (Throwable e) {
      rows.close();
      if (e instanceof TableFile.NotMappedException && options.placement() == Placement.AUTO) {
        return streamed(file, ", chosen since its file system maps no files");
      }
      throw e;
    }
  }

  /**
   * Returns how many bytes of a table's files are in memory just now, or -1 if the system does not
   * tell: Linux calls everything resident to those who neither own nor may write a file.
   *
   * @throws IOException if the files cannot be mapped
   */
  public static long inPageCache(TableFile file) throws IOException {
    HostFiles files = Hosts.find().files();
    for (Path path : file.files()) {
      if (!Files.isWritable(path) && !OwnDirectory.isOwner(path)) {
        return -1;
      }
    }
    try (Arena arena = Arena.ofConfined()) {
      Table table = file.map(arena);
      long bytes = 0;
      for (Shard shard : table.shards()) {
        List<MemorySegment> own = new ArrayList<>();
        own.add(shard.weight());
        if (!table.isInterleaved()) {
          Stream.of(shard.scale(), shard.bias()).filter(Objects::nonNull).forEach(own::add);
        }
        for (MemorySegment part : own) {
          long some = files.inPageCache(part);
          if (some < 0) {
            return -1;
          }
          bytes += some;
        }
      }
      return bytes;
    }
  }

  private RowCache cache(TableShape table, RowSource reader) {
    RowCache cache = new RowCache(reader, table.rowBytes(), options.cacheBytes());
    RowSeed seed = options.seed();
    try {
      if (seed != null) {
        cache.seed(rows(seed, table, cache.capacity()));
      }
      return cache;
    } catch (Throwable e) {
      cache.close();
      throw e;
    }
  }

  private HeldTable streamed(TableFile file, String why) throws IOException {
    TableShape shape = TableShape.of(file);
    StreamedRows rows = new StreamedRows(file, host.files(), options.queueDepth());
    String description;
    try {
      description = rows.description() + why;
    } catch (Throwable e) {
      rows.close();
      throw e;
    }
    return held(shape, Placement.STREAMED, rows, rows, description);
  }

  /** A seed's rows of a table, so many that the cache can hold them. */
  private static long[] rows(RowSeed seed, TableShape file, long most) {
    long[] rows = seed.rows().get(file.name());
    if (rows == null) {
      throw new IllegalArgumentException(
          "the seed is of another model: it has no rows of "
              + file.name()
              + ", but of "
              + seed.rows().keySet());
    }
    for (long row : rows) {
      if (row < 0 || row >= file.rows()) {
        throw new IllegalArgumentException(
            "the seed is of another model: it has row "
                + row
                + " of "
                + file.name()
                + ", which has "
                + file.rows()
                + " rows");
      }
    }
    return Arrays.copyOf(rows, (int) Math.min(rows.length, most));
  }

  /**
   * The first to come writes a packed file into a file system in memory, the others wait and map
   * it. A process that dies while it writes leaves a journal, and the next one goes on from there.
   * The directory is this user's own: others can neither serve their rows there nor read these.
   */
  private HeldTable shared(TableFile file, boolean maps, Arena arena) throws IOException {
    Path directory = options.sharedDirectory();
    try {
      directory = OwnDirectory.make(directory.resolve("engram4j-" + OwnDirectory.user()));
    } catch (IOException e) {
      throw new IOException("no place for shared tables: " + e.getMessage(), e);
    }
    String digest = Digests.hex(Digests.sha256(file.identity()), 12);
    Path target = directory.resolve(digest + ".rows");
    String how = "attached to ";
    while (!Files.exists(target)) {
      try {
        Packer.packOrForget(file, target, options.threads(), options.progress());
        how = "loaded into ";
      } catch (Packer.BusyException e) {
        LockSupport.parkNanos(50_000_000); // another process is at it
        if (Thread.currentThread().isInterrupted()) {
          throw new IOException("interrupted while another process loads " + target, e);
        }
      }
    }
    Packer.forgetJournal(target);
    TableFile copy = PackedFile.open(target).table();
    boolean same =
        copy.rows() == file.rows()
            && copy.headDim() == file.headDim()
            && copy.type() == file.type();
    if (!same) {
      throw new IOException(target + " holds another table: " + copy);
    }
    return maps
        ? HeldTable.of(copy.map(arena), Placement.SHARED, how + target, null)
        : read(copy, Placement.SHARED, ", " + how + target);
  }
}
