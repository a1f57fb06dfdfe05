package io.engram4j.packaging;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** An application on the module path becomes a runtime image of its own, which runs a model. */
final class JlinkTest {
  private static final String MODULE =
      """
      module app {
        requires io.engram4j.core;
        requires io.engram4j.hf;
      }
      """;
  private static final String MAIN =
      """
      package app;

      import io.engram4j.hf.EngramDirectory;
      import java.nio.file.Path;

      public class Main {
        public static void main(String[] args) throws Exception {
          try (var model = EngramDirectory.open(Path.of(args[0]))) {
            var sequence = model.newSequence();
            sequence.append(new int[] {1, 2, 3});
            float[] stream = new float[3 * model.config().streamWidth()];
            model.layers().getFirst().apply(sequence, 3, stream);
            System.out.println("ran by " + model.backendName());
          }
        }
      }
      """;

  /** What such an application has on its module path: no tokenizers, no DJL. */
  private static final List<String> JARS =
      List.of(
          "engram4j-core-",
          "engram4j-hf-",
          "engram4j-gguf-",
          "engram4j-bridge-",
          "engram4j-bindings-",
          "jackson-",
          "jspecify-", // for the compiler alone
          "slf4j-api-",
          "slf4j-simple-");

  @TempDir Path directory;

  private Artifacts.Result tool(String... command) throws IOException, InterruptedException {
    List<String> all = new ArrayList<>(List.of(command));
    Artifacts.Result result = Artifacts.run(directory, Map.of(), all);
    assertEquals(0, result.exit(), String.join(" ", all) + "\n" + result.out());
    return result;
  }

  @Test
  void anImageRunsAModel() throws IOException, InterruptedException {
    String own = Artifacts.ownPlatform();
    String natives = own.isEmpty() ? "no natives" : Artifacts.nativesJar(own).toString();
    String jars =
        Artifacts.classPath().stream()
            .filter(jar ->
                jar.toString().equals(natives)
                    || JARS.stream().anyMatch(jar.getFileName().toString()::startsWith))
            .map(Path::toString)
            .collect(Collectors.joining(File.pathSeparator));
    Path sources = Files.createDirectories(directory.resolve("app/app"));
    Path module = Files.writeString(directory.resolve("app/module-info.java"), MODULE);
    Path main = Files.writeString(sources.resolve("Main.java"), MAIN);
    String classes = directory.resolve("classes").toString();
    String javac = Artifacts.tool("javac");
    tool(javac, "-p", jars, "-d", classes, module.toString(), main.toString());
    Path image = directory.resolve("image");
    String path = jars + File.pathSeparator + classes;
    String modules = "app,io.engram4j.bridge,org.slf4j.simple";
    if (!own.isEmpty()) {
      modules += ",io.engram4j.natives." + own.replace('-', '_');
    }
    String jlink = Artifacts.tool("jlink");
    tool(jlink, "-p", path, "--add-modules", modules, "--output", image.toString());
    Path model =
        Artifacts.ROOT.resolve("java/tck/src/main/resources/io/engram4j/tck/golden/mini-v41");
    Artifacts.Result run =
        tool(
            image.resolve("bin/java").toString(),
            "--enable-native-access=io.engram4j.bridge,io.engram4j.bindings",
            "-m",
            "app/app.Main",
            model.toString());
    assertTrue(run.out().contains("ran by " + (own.isEmpty() ? "java" : "cpu")), run.out());
  }
}
