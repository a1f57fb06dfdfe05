package io.engram4j.tck;

import io.engram4j.EngramModel;
import io.engram4j.hf.DirectoryPacker;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.kernel.java.JavaBackend;
import io.engram4j.model.NgramSeed;
import io.engram4j.model.TokenMapFile;
import io.engram4j.table.Placement;
import io.engram4j.table.RowSeed;
import io.engram4j.table.RowSet;
import io.engram4j.table.TableOptions;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** A process that writes files until somebody kills it. {@link Kills} starts and ends it. */
final class KillTarget {
  private static final int ROWS = 20_000;

  /** What such a process does, again and again. */
  enum Work {
    /** Packs one model, then the other, into one directory. */
    PACK,
    /** Loads tables into shared memory, having deleted what was there. */
    LOAD,
    /** Attaches to shared tables. */
    ATTACH,
    /** Writes row sets, seeds and a token map over those of before. */
    SAVE;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  private final Path first;
  private final Path second;
  private final Path target;

  KillTarget(Path first, Path second, Path target) {
    this.first = first;
    this.second = second;
    this.target = target;
  }

  /** {@code KillTarget WORK FIRST SECOND TARGET}. */
  public static void main(String[] args) throws IOException {
    KillTarget all = new KillTarget(Path.of(args[1]), Path.of(args[2]), Path.of(args[3]));
    Work work = Work.valueOf(args[0]);
    new FileOutputStream(FileDescriptor.out).write("ready\n".getBytes(StandardCharsets.UTF_8));
    for (int i = 0; ; i++) {
      all.once(work, i % 2 == 0);
    }
  }

  private void once(Work work, boolean even) throws IOException {
    Path source = even ? first : second;
    switch (work) {
      case PACK -> pack(source);
      case LOAD -> {
        TemporaryDirectory.delete(shared());
        open(source, options(Placement.SHARED)).close();
      }
      case ATTACH -> open(source, options(Placement.SHARED)).close();
      case SAVE -> save(even ? 1 : 2);
    }
  }

  void pack(Path source) throws IOException {
    new DirectoryPacker(EngramDirectory.read(source), packed(), 1, bytes -> {}).pack();
  }

  Path packed() {
    return target.resolve("packed");
  }

  Path shared() {
    return target.resolve("shared");
  }

  TableOptions options(Placement placement) throws IOException {
    return TableOptions.defaults()
        .placement(placement)
        .sharedDirectory(Files.createDirectories(shared()))
        .threads(1);
  }

  static EngramModel open(Path directory, TableOptions options) throws IOException {
    return EngramDirectory.read(directory).open(new JavaBackend(), options);
  }

  private Path file(String name) {
    return target.resolve(name);
  }

  /** Writes a version of all small files. */
  void save(int version) throws IOException {
    Files.createDirectories(target);
    rowSet(version).save(file("set"));
    rowSeed(version).save(file("rows"));
    ngramSeed(version).save(file("ngrams"));
    TokenMapFile.save(EngramDirectory.read(first).map().orElseThrow(), file("map"));
  }

  /**
   * Checks that each small file is of one version, or not there.
   *
   * @return whether all are of this version
   */
  boolean checkSaved(int version) throws IOException {
    boolean all = true;
    if (Files.exists(file("set"))) {
      RowSet set = RowSet.load(file("set"));
      all &= check("row set", set.name(), rowSet(1).name(), rowSet(2).name(), version);
    }
    if (Files.exists(file("rows"))) {
      long[] rows = RowSeed.load(file("rows")).rows().get("table");
      all &=
          check(
              "seed of rows",
              Arrays.hashCode(rows),
              Arrays.hashCode(rowSeed(1).rows().get("table")),
              Arrays.hashCode(rowSeed(2).rows().get("table")),
              version);
    }
    if (Files.exists(file("ngrams"))) {
      int ids = NgramSeed.load(file("ngrams")).distinctIds();
      all &= check("seed of n-grams", ids, 1001, 1002, version);
    }
    if (Files.exists(file("map"))) {
      String digest = EngramDirectory.read(first).map().orElseThrow().sha256();
      check("token map", TokenMapFile.load(file("map")).sha256(), digest, digest, 1);
    }
    return all;
  }

  private static <T> boolean check(String what, T actual, T one, T two, int version)
      throws IOException {
    if (!actual.equals(one) && !actual.equals(two)) {
      throw new IOException("a " + what + " is neither of those that were written: " + actual);
    }
    return actual.equals(version == 1 ? one : two);
  }

  private static RowSet rowSet(int version) {
    float[] values = new float[64];
    Arrays.fill(values, version);
    return new RowSet("version " + version, List.of(new RowSet.Row(1, version, values)));
  }

  private static RowSeed rowSeed(int version) {
    long[] rows = new long[ROWS];
    Arrays.setAll(rows, i -> (long) version * i);
    return new RowSeed(Map.of("table", rows));
  }

  private static NgramSeed ngramSeed(int version) {
    int[] ids = new int[2 * ROWS];
    Arrays.setAll(ids, i -> i % 1000);
    return new NgramSeed(2, 1000 + version, ids);
  }
}
