package io.engram4j.tck;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** The golden files, which travel in this module's jar. */
public final class Golden {
  /** Golden model directories. */
  public static final List<String> MODELS = List.of("mini-v41", "mini-paper");

  private static final List<String> FILES =
      List.of(
          "formats.safetensors",
          "gate.safetensors",
          "gguf-blocks.safetensors",
          "multipliers.json",
          "token-map.json",
          "mini-v41/config.json",
          "mini-v41/tokenizer.json",
          "mini-v41/model.safetensors.index.json",
          "mini-v41/model-00001-of-00002.safetensors",
          "mini-v41/model-00002-of-00002.safetensors",
          "mini-v41/expected-plain.safetensors",
          "mini-v41/expected-image.safetensors",
          "mini-v41/expected-image-id.safetensors",
          "mini-paper/config.json",
          "mini-paper/tokenizer.json",
          "mini-paper/model.safetensors",
          "mini-paper/expected-plain.safetensors",
          "mini-paper/expected-long.safetensors");

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
