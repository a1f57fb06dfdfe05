package io.engram4j.cli;

import io.engram4j.Backends;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.hf.EngramModels;
import io.engram4j.hf.ModelFiles;
import io.engram4j.kernel.Backend;
import io.engram4j.kernel.BackendProvider;
import java.io.IOException;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** The parameters of every command that takes a model directory. */
final class ModelOptions {
  private static final long MOST_MEGABYTES = 1_000_000_000; // a petabyte

  @Parameters(
      index = "0",
      paramLabel = "DIR",
      description =
          "A Hugging Face model directory, or ORG/NAME in its cache, or a GGUF file or part of one.")
  Path directory = Path.of("");

  @Option(
      names = "--map",
      paramLabel = "FILE",
      description = "Take the token map from this tokenizer.json or map file.")
  @Nullable Path map;

  ModelFiles read() throws IOException {
    return EngramModels.read(directory, map);
  }

  /** Reads a directory of safetensors; other forms have one piece for each row already. */
  EngramDirectory readDirectory() throws IOException {
    ModelFiles files = read();
    if (files instanceof EngramDirectory shards) {
      return shards;
    }
    throw new IOException(
        files.path()
            + " is a "
            + files.form()
            + ", whose rows lie in one piece each: it needs no packing");
  }

  /** Returns bytes of an option in megabytes. */
  static long megabytes(String option, long value) {
    if (value < 0 || value > MOST_MEGABYTES) {
      throw new IllegalArgumentException(
          option + " is " + value + ", not between 0 and " + MOST_MEGABYTES);
    }
    return value * 1_000_000;
  }

  /** Returns the named backend, or the best. */
  static Backend backend(@Nullable String name) {
    if (name != null
        && Backends.providers().stream().noneMatch(provider -> provider.name().equals(name))
        && name.matches("(?i)gpu|cuda|rocm|metal")) {
      throw new IllegalArgumentException(
          "--backend "
              + name
              + ": the command runs on the CPU, by one of "
              + Backends.providers().stream().map(BackendProvider::name).toList()
              + "; on a GPU it is for engines, by io.engram4j.cuda (docs/cuda.md)");
    }
    return name == null ? Backends.select() : Backends.named(name);
  }
}
