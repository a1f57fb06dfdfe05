package io.engram4j.tck;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The README's lines of Java are compiled and run as they stand there. */
class ReadmeTest {
  @TempDir Path directory;

  @Test
  void theExampleRuns() throws IOException, InterruptedException {
    String readme = Files.readString(Path.of("..", "..", "README.md"));
    Matcher block = Pattern.compile("```java\n(.*?)```", Pattern.DOTALL).matcher(readme);
    assertTrue(block.find(), "README.md has no Java");
    Files.writeString(directory.resolve("Example.java"), example(block.group(1)));
    Golden.extract(directory.resolve("golden"));
    Path java = Path.of(System.getProperty("java.home"), "bin", "java");
    Path out = directory.resolve("out");
    Process process =
        new ProcessBuilder(
                List.of(
                    java.toString(),
                    "-cp",
                    System.getProperty("java.class.path"),
                    directory.resolve("Example.java").toString(),
                    directory.resolve("golden/mini-v41").toString()))
            .redirectOutput(out.toFile())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    assertTrue(process.waitFor(2, TimeUnit.MINUTES));
    assertEquals(0, process.exitValue());
    float first = Float.parseFloat(Files.readString(out).strip());
    assertTrue(first != 0 && Float.isFinite(first), "nothing entered the stream: " + first);
  }

  /** The README's lines in a class that has what an engine gives them. */
  private static String example(String lines) {
    return """
    import io.engram4j.*;
    import io.engram4j.hf.EngramModels;
    import java.nio.file.Path;

    public class Example {
      public static void main(String[] args) throws Exception {
        Path directory = Path.of(args[0]);
        int[] prompt = {79, 110, 309, 505};
        float[] hidden = new float[1 << 16];
    %s
        System.out.println(hidden[0]);
      }
    }
    """
        .formatted(lines);
  }
}
