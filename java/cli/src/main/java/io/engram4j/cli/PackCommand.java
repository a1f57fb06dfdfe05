package io.engram4j.cli;

import io.engram4j.hf.DirectoryPacker;
import io.engram4j.hf.EngramDirectory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicLong;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Writes tables as packed files. */
@Command(
    name = "pack",
    header = "Write a model's tables as packed files, with checksums.",
    description =
        "In them a row and its scales are one run of bytes. Ended at any moment, it goes on where"
            + " it was when it is run again.")
final class PackCommand implements Callable<Integer> {
  @Mixin ModelOptions model = new ModelOptions();
  @Mixin Output output = new Output();

  @Parameters(
      index = "1",
      paramLabel = "OUT",
      description = "A directory: DIR itself, or one that then holds all that Engram needs.")
  Path target = Path.of("");

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "How many read and write at once (default: the number of cores, at most 16).")
  int threads = Math.min(16, Runtime.getRuntime().availableProcessors());

  @Option(names = "--verify", description = "Read all that was written and check it.")
  boolean verify;

  @Override
  public Integer call() throws IOException {
    if (threads < 1) {
      throw new IllegalArgumentException("--threads must be at least 1");
    }
    if (Files.exists(target) && !Files.isDirectory(target)) {
      throw new IllegalArgumentException(
          target + " is a file; OUT is the directory in which packed files are written");
    }
    EngramDirectory source = model.readDirectory();
    AtomicLong done = new AtomicLong();
    long bytes = new DirectoryPacker(source, target, threads, n -> {}).bytes();
    long start = System.nanoTime();
    List<Path> files;
    try (Progress progress = new Progress("pack", bytes, " MB", 1_000_000)) {
      files =
          new DirectoryPacker(
                  source,
                  target,
                  threads,
                  n -> {
                    done.addAndGet(n);
                    progress.step(n);
                  })
              .pack();
    }
    double seconds = (System.nanoTime() - start) / 1e9;
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("files", files.stream().map(Path::toString).toList());
    json.put("bytes", bytes);
    json.put("seconds", seconds);
    for (Path file : files) {
      output.line("%s  %s", file, Text.bytes(Files.size(file)));
    }
    double rate = done.get() / 1e9 / seconds;
    output.line("%s of rows in %.1f s, %.2f GB/s", Text.bytes(done.get()), seconds, rate);
    if (verify) {
      try (Progress progress = new Progress("verify", bytes, " MB", 1_000_000)) {
        DirectoryPacker.verify(EngramDirectory.read(target), threads, progress::step);
      }
      output.line("all checksums fit");
    }
    json.put("verified", verify);
    output.json(json);
    return 0;
  }
}
