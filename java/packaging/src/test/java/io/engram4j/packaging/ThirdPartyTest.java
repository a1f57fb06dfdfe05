package io.engram4j.packaging;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.zip.ZipFile;
import org.junit.jupiter.api.Test;

/** What the command's jars bring is named in the notices, and installed jars have sources. */
final class ThirdPartyTest {
  private static final String TESTS =
      "(junit|opentest4j|apiguardian|engram4j|surefire|maven-|common-|shared-).*";

  @Test
  void everyLibraryIsNamed() throws IOException {
    Set<String> named = new HashSet<>();
    for (String line : Files.readAllLines(Artifacts.ROOT.resolve("docs/third-party.md"))) {
      if (line.startsWith("| ")) {
        named.addAll(List.of(line.split("[|]", -1)[1].strip().split("[ ,]+", -1)));
      }
    }
    List<String> libraries =
        Artifacts.classPath().stream()
            .map(jar -> String.valueOf(jar.getFileName()))
            .filter(name -> !name.matches(TESTS))
            .map(name -> name.replaceAll("-[0-9][0-9.]*.*[.]jar", ""))
            .toList();
    assertTrue(libraries.contains("jackson-core") && libraries.contains("picocli"), "" + libraries);
    assertEquals(List.of(), libraries.stream().filter(name -> !named.contains(name)).toList());
  }

  @Test
  void sourcesLieBesideTheJars() throws IOException {
    for (String module : List.of("core", "hf", "tokenizer", "bridge", "vector", "micrometer")) {
      Path sources =
          Artifacts.ROOT.resolve(
              "java/"
                  + module
                  + "/target/engram4j-"
                  + module
                  + "-"
                  + Artifacts.VERSION
                  + "-sources.jar");
      try (ZipFile zip = new ZipFile(sources.toFile())) {
        assertTrue(zip.stream().anyMatch(entry -> entry.getName().endsWith(".java")), "" + sources);
      }
    }
  }
}
