package io.engram4j.tck;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** The golden files, which travel in this module's jar. */
public final class Golden {
  /** Golden model directories. */
  public static final List<String> MODELS =
      List.of("mini-v41", "mini-paper", "mini-ple", "mini-ple-fp8");

  private static final List<String> FILES =
      List.of(
          "formats.safetensors",
          "gate.safetensors",
          "gguf-blocks.safetensors",
          "multipliers.json",
          "token-map.json",
          "mini-paper/config.json",
          "mini-paper/expected-long.safetensors",
          "mini-paper/expected-plain.safetensors",
          "mini-paper/model.safetensors",
          "mini-paper/tokenizer.json",
          "mini-ple-fp8/config.json",
          "mini-ple-fp8/expected-plain.safetensors",
          "mini-ple-fp8/expected-rest.safetensors",
          "mini-ple-fp8/model-00001-of-00002.safetensors",
          "mini-ple-fp8/model-00002-of-00002.safetensors",
          "mini-ple-fp8/model.safetensors.index.json",
          "mini-ple-gguf/expected-f16-plain.safetensors",
          "mini-ple-gguf/expected-iq4_nl-plain.safetensors",
          "mini-ple-gguf/expected-q8_0-rest.safetensors",
          "mini-ple-gguf/f16.gguf",
          "mini-ple-gguf/iq4_nl-00001-of-00003.gguf",
          "mini-ple-gguf/iq4_nl-00002-of-00003.gguf",
          "mini-ple-gguf/iq4_nl-00003-of-00003.gguf",
          "mini-ple-gguf/q8_0.gguf",
          "mini-ple/config.json",
          "mini-ple/expected-edges.safetensors",
          "mini-ple/expected-plain.safetensors",
          "mini-ple/expected-rest.safetensors",
          "mini-ple/model-00001-of-00002.safetensors",
          "mini-ple/model-00002-of-00002.safetensors",
          "mini-ple/model.safetensors.index.json",
          "mini-v41-gguf-ds4/expected-mini-plain.safetensors",
          "mini-v41-gguf-ds4/mini.gguf",
          "mini-v41-gguf-split/expected-mini-plain.safetensors",
          "mini-v41-gguf-split/mini-00001-of-00004.gguf",
          "mini-v41-gguf-split/mini-00002-of-00004.gguf",
          "mini-v41-gguf-split/mini-00003-of-00004.gguf",
          "mini-v41-gguf-split/mini-00004-of-00004.gguf",
          "mini-v41-gguf/expected-mixed-image.safetensors",
          "mini-v41-gguf/expected-mixed-plain.safetensors",
          "mini-v41-gguf/mixed.gguf",
          "mini-v41/config.json",
          "mini-v41/expected-image-id.safetensors",
          "mini-v41/expected-image.safetensors",
          "mini-v41/expected-plain.safetensors",
          "mini-v41/model-00001-of-00002.safetensors",
          "mini-v41/model-00002-of-00002.safetensors",
          "mini-v41/model.safetensors.index.json",
          "mini-v41/tokenizer.json");

  private Golden() {}

  /** Writes the golden files into a directory, from where they can be opened and mapped. */
  public static void extract(Path directory) throws IOException {
    for (String file : FILES) {
      Path target = directory.resolve(file);
      Files.createDirectories(target.getParent());
      try (InputStream in = Golden.class.getResourceAsStream("golden/" + file)) {
        if (in == null) {
          throw new IOException("this jar lacks golden/" + file);
        }
        Files.copy(in, target);
      }
    }
  }
}
