package io.engram4j.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.engram4j.EngramLayer;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** A self-contained page that shows a text with its gates per token, branch and layer. */
final class GatesPage {
  /** Browsers stay quick up to about so many coloured words. */
  private static final int MAX_TOKENS = 20_000;

  private GatesPage() {}

  /** Checks, before long work, that the page can be written. */
  static void requireWritable(Path file) throws IOException {
    Path folder = file.toAbsolutePath().getParent();
    if (folder == null || !Files.isDirectory(folder)) {
      throw new IOException("the folder " + folder + " for the page does not exist");
    }
    if (Files.isDirectory(file) || !Files.isWritable(Files.exists(file) ? file : folder)) {
      throw new IOException(file + " cannot be written");
    }
  }

  /**
   * Writes the page.
   *
   * @param pieces what each token shows
   * @param gates per layer [tokens, branches]
   */
  static void write(
      Path file, String title, List<EngramLayer> layers, String[] pieces, List<float[]> gates)
      throws IOException {
    int shown = Math.min(pieces.length, MAX_TOKENS);
    int branches = gates.getFirst().length / pieces.length;
    Map<String, Object> data = new LinkedHashMap<>();
    data.put("title", title);
    data.put("tokens", pieces.length);
    data.put("layers", layers.stream().map(EngramLayer::id).toList());
    data.put("branches", branches);
    data.put("pieces", Arrays.asList(pieces).subList(0, shown));
    List<int[]> rounded = new ArrayList<>();
    for (float[] layer : gates) {
      int[] permille = new int[shown * branches];
      for (int i = 0; i < permille.length; i++) {
        permille[i] = Math.round(layer[i] * 1000);
      }
      rounded.add(permille);
    }
    data.put("gates", rounded);
    String json = new ObjectMapper().writeValueAsString(data).replace("<", "\\u003c");
    try (InputStream in = GatesPage.class.getResourceAsStream("gates.html")) {
      String page =
          new String(Objects.requireNonNull(in).readAllBytes(), StandardCharsets.UTF_8)
              .replace("/*DATA*/", json);
      Files.writeString(file, page);
    }
  }
}
