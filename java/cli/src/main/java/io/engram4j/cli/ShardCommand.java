package io.engram4j.cli;

import io.engram4j.hf.ModelFiles;
import io.engram4j.remote.Addresses;
import io.engram4j.remote.Manifest;
import io.engram4j.remote.Manifest.SlicedTable;
import io.engram4j.remote.Sharder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Cuts tables into slices for several machines, or loads them into an engine that holds rows. */
@Command(
    name = "shard",
    header = "Cut a model's tables into slices for other machines, or load them there.",
    description =
        "OUT then holds slices, their manifest, and what a client needs beside rows. With --into"
            + " rows go where an engine holds them, and are served when all are there. Ended at any"
            + " moment, it goes on where it was when it is run again.")
final class ShardCommand implements Callable<Integer> {
  @Mixin ModelOptions model = new ModelOptions();
  @Mixin Output output = new Output();

  @Parameters(
      index = "1",
      arity = "0..1",
      paramLabel = "OUT",
      description = "A directory for slices, which is not DIR.")
  @Nullable Path target;

  @Option(
      names = "--slices",
      paramLabel = "N",
      defaultValue = "1",
      description = "Slices of each table, cut where heads end (default ${DEFAULT-VALUE}).")
  int slices;

  @Option(
      names = "--into",
      paramLabel = "ADDRESS",
      description = "Load rows there, such as redis://host:6379; of a cluster any node.")
  @Nullable String into;

  @Option(
      names = "--name",
      paramLabel = "NAME",
      description = "What the manifest calls the model (default: DIR's name).")
  @Nullable String name;

  @Option(
      names = "--revision",
      paramLabel = "TEXT",
      defaultValue = "1",
      description = "By which people tell one training from the next (default ${DEFAULT-VALUE}).")
  String revision = "1";

  @Option(
      names = "--endpoints",
      split = ",",
      paramLabel = "ADDRESS",
      description = "Where the slices will be served; the manifest tells clients.")
  List<String> endpoints = List.of();

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "How many read and write at once (default: the number of cores, at most 16).")
  int threads = Math.min(16, Runtime.getRuntime().availableProcessors());

  @Override
  public Integer call() throws IOException {
    if (threads < 1) {
      throw new IllegalArgumentException("--threads must be at least 1");
    }
    if (target == null && into == null) {
      throw new IllegalArgumentException("give it OUT for slices, or --into an engine, or both");
    }
    ModelFiles source = model.read();
    String called = name == null ? source.path().toRealPath().getFileName().toString() : name;
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("model", called);
    json.put("revision", revision);
    if (target != null) {
      requireOther(source, target);
      write(new Sharder(source, called, revision, slices), target, json);
    }
    if (into != null) {
      load(new Sharder(source, called, revision, 1), into, json);
    }
    output.json(json);
    return 0;
  }

  private static void requireOther(ModelFiles source, Path target) throws IOException {
    if (Files.exists(target)
        && (!Files.isDirectory(target) || Files.isSameFile(target, source.path()))) {
      throw new IllegalArgumentException(
          target + " is " + (Files.isDirectory(target) ? "the model itself" : "a file"));
    }
  }

  private void write(Sharder sharder, Path to, Map<String, Object> json) throws IOException {
    Manifest manifest;
    try (Progress progress = new Progress("shard", sharder.bytes(), " MB", 1_000_000)) {
      manifest = sharder.shard(to, threads, progress::step).withEndpoints(endpoints);
    }
    manifest.write(to.resolve(Manifest.NAME));
    List<List<String>> rows = new ArrayList<>();
    List<Map<String, Object>> objects = new ArrayList<>();
    for (SlicedTable table : manifest.tables()) {
      for (int slice = 0; slice < table.slices().size(); slice++) {
        Path file = Sharder.file(to, table.layer(), slice);
        long count = table.slices().get(slice).rows();
        rows.add(
            List.of(
                file.getFileName().toString(), Text.count(count), Text.bytes(Files.size(file))));
        objects.add(Map.of("layer", table.layer(), "file", file.toString(), "rows", count));
      }
    }
    output.table(List.of("slice", "rows", "size"), rows);
    output.line("generation %s", manifest.generation());
    json.put("generation", manifest.generation());
    json.put("slices", objects);
  }

  private void load(Sharder sharder, String address, Map<String, Object> json) throws IOException {
    Manifest manifest;
    long start = System.nanoTime();
    // once for the digests, once for the rows
    try (Progress progress = new Progress("load", 2 * sharder.bytes(), " MB", 1_000_000)) {
      manifest = sharder.load(address, threads, progress::step);
    }
    double seconds = (System.nanoTime() - start) / 1e9;
    output.line(
        "%s of rows at %s in %.1f s, generation %s",
        Text.bytes(manifest.bytes()), Addresses.shown(address), seconds, manifest.generation());
    json.put("generation", manifest.generation());
    json.put("into", Addresses.shown(address));
    json.put("bytes", manifest.bytes());
    json.put("seconds", seconds);
  }
}
