package io.engram4j.remote.wire;

import io.engram4j.remote.Manifest;
import io.engram4j.remote.Manifest.SlicedTable;
import io.engram4j.remote.RowEngine;
import io.engram4j.remote.Sharder;
import io.engram4j.table.TableOptions;
import io.engram4j.table.io.HeldTable;
import io.engram4j.table.io.TableFile;
import io.engram4j.table.io.TableOpener;
import java.io.Closeable;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.Set;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Serves slices of a directory that {@code engram shard} made, to any number of clients. For
 * networks whose machines trust each other: nothing is enciphered. Thread-safe.
 */
public final class SliceServer implements AutoCloseable {
  private static final Pattern NAME =
      Pattern.compile("engram-layer-(\\d{1,9})\\.slice-(\\d{1,9})\\.rows");
  private static final int QUEUE = 1024; // requests that wait for a thread

  private final Manifest manifest;
  private final long generation;
  private final Map<Long, ServedSlice> slices = new LinkedHashMap<>();
  private final Arena arena = Arena.ofShared();
  private final List<Closeable> held = new ArrayList<>();
  private final ThreadPoolExecutor threads;
  private final MessagePool pool = new MessagePool();
  private final LongAdder rows = new LongAdder();
  private final LongAdder requests = new LongAdder();
  private final List<Transport.Listener> listeners = new CopyOnWriteArrayList<>();

  /**
   * Opens slices.
   *
   * @param directory with the manifest
   * @param which slices
   * @param options how rows are kept here
   * @param workers threads that gather what is large, or not in memory
   * @throws IOException if a slice is missing, damaged or of other rows than the manifest says
   */
  public SliceServer(Path directory, Which which, TableOptions options, int workers)
      throws IOException {
    this.manifest = Manifest.read(directory);
    this.generation = Frame.generation(manifest.generation());
    this.threads =
        new ThreadPoolExecutor(
            workers,
            workers,
            1,
            TimeUnit.MINUTES,
            new ArrayBlockingQueue<>(QUEUE),
            Thread.ofPlatform().daemon().name("engram-serve-", 0).factory());
    try {
      open(directory, which, new TableOpener(options));
    } catch (Throwable e) {
      close();
      throw e;
    }
  }

  private void open(Path directory, Which which, TableOpener opener) throws IOException {
    List<ServedFile> files = new ArrayList<>();
    long bytes = 0;
    for (SlicedTable table : manifest.tables()) {
      for (int slice = 0; slice < table.slices().size(); slice++) {
        if (which.serves(table.layer(), slice)) {
          TableFile file = Sharder.open(directory, manifest, table.layer(), slice).table();
          files.add(new ServedFile(table.layer(), slice, file));
          bytes += file.bytes();
        }
      }
    }
    if (files.isEmpty()) {
      throw new IllegalArgumentException(directory + " has none of the slices that are named");
    }
    for (ServedFile file : files) {
      HeldTable table = opener.open(file.file(), bytes, arena);
      held.add(table);
      slices.put(
          key(file.layer(), file.slice()),
          new ServedSlice(file.layer(), file.slice(), table.table()));
    }
  }

  /** Chooses slices. */
  public interface Which {
    /** Returns whether a slice is served, by its layer and its place in that table. */
    boolean serves(int layer, int slice);
  }

  /**
   * Opens slices by their files, or all of a directory.
   *
   * @throws IllegalArgumentException if a file is not named as slices are, or lies elsewhere
   */
  public static SliceServer open(List<Path> files, TableOptions options, int workers)
      throws IOException {
    Path directory = null;
    Set<Long> which = new HashSet<>();
    boolean all = false;
    for (Path file : files) {
      Path folder = Files.isDirectory(file) ? file : file.toAbsolutePath().getParent();
      if (directory != null
          && !Files.isSameFile(directory, java.util.Objects.requireNonNull(folder))) {
        throw new IllegalArgumentException(
            file + " and " + files.getFirst() + " are of two directories; a server has one");
      }
      directory = folder;
      Matcher name = NAME.matcher(String.valueOf(file.getFileName()));
      if (Files.isDirectory(file)) {
        all = true;
      } else if (name.matches()) {
        which.add(key(Integer.parseInt(name.group(1)), Integer.parseInt(name.group(2))));
      } else {
        throw new IllegalArgumentException(file + " is no slice that engram shard made");
      }
    }
    if (directory == null) {
      throw new IllegalArgumentException("no slice is named");
    }
    boolean every = all;
    return new SliceServer(
        directory, (layer, slice) -> every || which.contains(key(layer, slice)), options, workers);
  }

  private record ServedFile(int layer, int slice, TableFile file) {}

  private static long key(int layer, int slice) {
    return (long) layer << 32 | slice;
  }

  /**
   * Listens at one more address, such as {@code ucx://eth0:7000}; whose scheme it is, its module
   * brings.
   *
   * @param any whether it may listen at all interfaces
   * @return the port
   * @throws IOException if nobody can listen there
   * @throws IllegalArgumentException if no transport here takes the address
   */
  public int listen(String address, boolean any) throws IOException {
    String scheme = address.substring(0, Math.max(0, address.indexOf("://")));
    List<String> known = new ArrayList<>();
    for (RowEngine engine :
        ServiceLoader.load(RowEngine.class, SliceServer.class.getClassLoader())) {
      if (engine instanceof WireEngine wire) {
        if (wire.schemes().contains(scheme)) {
          return wire.serve(address, this, any);
        }
        known.addAll(wire.schemes());
      }
    }
    throw new IllegalArgumentException(
        "nothing here listens at " + address + "; its scheme must be one of " + known);
  }

  int listen(Transport transport, WireAddress address, boolean any) throws IOException {
    Transport.Listener made =
        transport.listen(
            address.local(any),
            address.settings(),
            link -> new ServedLink(this, link, address.key()));
    listeners.add(made);
    return made.port();
  }

  Manifest manifest() {
    return manifest;
  }

  long generation() {
    return generation;
  }

  List<ServedSlice> slices() {
    return List.copyOf(slices.values());
  }

  @Nullable ServedSlice slice(int layer, int slice) {
    return slices.get(key(layer, slice));
  }

  MessagePool pool() {
    return pool;
  }

  ThreadPoolExecutor threads() {
    return threads;
  }

  void asked() {
    requests.increment();
  }

  void served(int count) {
    rows.add(count);
  }

  /** Returns how many rows were read to be sent. */
  public long rows() {
    return rows.sum();
  }

  /** Returns how many messages asked for rows; one may ask for those of several layers. */
  public long requests() {
    return requests.sum();
  }

  /** Returns a line for people: which slices there are. */
  public String describe() {
    return slices.size()
        + " slices of "
        + manifest.model()
        + ", generation "
        + manifest.generation();
  }

  @Override
  public void close() throws IOException {
    listeners.forEach(Transport.Listener::close);
    threads.shutdown();
    try {
      if (!threads.awaitTermination(1, TimeUnit.MINUTES)) {
        throw new IOException("rows are still being read a minute after the server was closed");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while the server was closed", e);
    }
    for (Closeable each : held) {
      each.close();
    }
    if (arena.scope().isAlive()) {
      arena.close();
    }
    pool.close();
  }
}
