package io.engram4j.packaging;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** No artifact is larger than docs/artifacts.md has it. */
final class SizesTest {
  /** What is not for users. */
  private static final List<String> OURS =
      List.of("bench", "rivals", "examples", "packaging", "architecture");

  /** Whose use docs/engines.md, docs/spark.md and docs/operating.md explain, 0.1 MB each. */
  private static final List<String> ADAPTERS = List.of("djl", "jlama", "micrometer", "spark");

  private static Map<String, Path> built() throws IOException {
    Map<String, Path> jars = new TreeMap<>();
    String version = Pattern.quote(Artifacts.VERSION);
    Pattern name = Pattern.compile("engram4j-(.+)-" + version + "((?:-all)?)\\.jar");
    for (String folder : List.of("bindings", "java")) {
      try (Stream<Path> files = Files.walk(Artifacts.ROOT.resolve(folder), 5)) {
        for (Path file : files.toList()) {
          Matcher matcher = name.matcher(file.getFileName().toString());
          if (matcher.matches()) {
            jars.put(matcher.group(1) + matcher.group(2), file);
          }
        }
      }
    }
    return jars;
  }

  @Test
  void artifactsAreNoLargerThanStated() throws IOException {
    Map<String, Double> stated = new TreeMap<>();
    Pattern line = Pattern.compile("\\| `engram4j-([a-z0-9_-]+)` \\|.*\\| ([0-9.]+) MB \\|");
    for (String text : Files.readAllLines(Artifacts.ROOT.resolve("docs/artifacts.md"))) {
      Matcher matcher = line.matcher(text);
      if (matcher.matches()) {
        stated.put(matcher.group(1), Double.parseDouble(matcher.group(2)));
      }
    }
    ADAPTERS.forEach(adapter -> stated.put(adapter, 0.1));
    List<String> wrong = new ArrayList<>();
    Map<String, Path> built = built();
    assertTrue(built.size() > 15, "" + built.keySet());
    for (Map.Entry<String, Path> jar : built.entrySet()) {
      Double most = stated.get(jar.getKey());
      long bytes = Files.size(jar.getValue());
      if (OURS.contains(jar.getKey())) {
        continue;
      }
      if (most == null) {
        wrong.add(jar.getKey() + " is not listed");
      } else if (bytes > most * 1e6) {
        wrong.add(jar.getKey() + " has " + bytes + " bytes, more than " + most + " MB");
      }
    }
    assertTrue(wrong.isEmpty(), "" + wrong);
  }
}
