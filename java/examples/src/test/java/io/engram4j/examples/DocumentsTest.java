package io.engram4j.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.cli.Main;
import java.io.IOException;
import java.io.StringWriter;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/** What the documents say in Java compiles, and what they say to the command is understood. */
final class DocumentsTest {
  private static final Path ROOT = Path.of("..", "..");

  private static List<Path> documents() throws IOException {
    try (Stream<Path> pages = Files.walk(ROOT.resolve("docs"))) {
      List<Path> all =
          new ArrayList<>(pages.filter(page -> page.toString().endsWith(".md")).sorted().toList());
      all.add(ROOT.resolve("README.md"));
      return all;
    }
  }

  private static List<String> blocks(Path page, String language) throws IOException {
    Matcher blocks =
        Pattern.compile("(?m)^ *```" + language + "\n(.*?)^ *```", Pattern.DOTALL)
            .matcher(Files.readString(page));
    List<String> found = new ArrayList<>();
    while (blocks.find()) {
      found.add(blocks.group(1));
    }
    return found;
  }

  /** Pieces that are no whole class may use what the documents' text introduces. */
  private static String whole(String piece) {
    if (piece.contains("class ")) {
      return piece;
    }
    String imports =
        piece.lines().filter(line -> line.startsWith("import ")).collect(Collectors.joining("\n"));
    String rest =
        piece.lines().filter(line -> !line.startsWith("import ")).collect(Collectors.joining("\n"));
    return """
    import io.engram4j.*;
    import io.engram4j.kernel.Backend;
    import io.engram4j.hf.EngramDirectory;
    import io.engram4j.hf.EngramModels;
    import java.nio.file.Path;
    import java.util.List;
    import java.util.concurrent.Executor;
    %s
    class Piece {
      void run(
          Path directory, EngramModel model, EngramLayer layer, EngramSequence sequence,
          EngramBatch batch, List<EngramSequence> running, float[] hidden, int[] prompt,
          int token, long rowId, float[] values, Backend backend, Executor executor)
          throws Exception {
    %s
      }
    }
    """
        .formatted(imports, rest);
  }

  private static final class Source extends SimpleJavaFileObject {
    private final String text;

    Source(String name, String text) {
      super(URI.create("string:///" + name + ".java"), Kind.SOURCE);
      this.text = text;
    }

    @Override
    public CharSequence getCharContent(boolean ignored) {
      return text;
    }
  }

  @Test
  void javaCompiles(@TempDir Path classes) throws IOException {
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    String path =
        System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
    int compiled = 0;
    StringBuilder problems = new StringBuilder();
    for (Path page : documents()) {
      for (String piece : blocks(page, "java")) {
        String text = whole(piece);
        String name = text.contains("class Example") ? "Example" : "Piece";
        StringWriter out = new StringWriter();
        boolean good =
            compiler
                .getTask(
                    out,
                    null,
                    null,
                    List.of("-proc:none", "-cp", path, "-d", classes.toString()),
                    null,
                    List.<JavaFileObject>of(new Source(name, text)))
                .call();
        problems.append(good ? "" : page + ":\n" + out);
        compiled++;
      }
    }
    assertEquals("", problems.toString());
    assertTrue(compiled >= 10, compiled + " pieces of Java were found");
  }

  @Test
  void commandsAreUnderstood() throws IOException {
    CommandLine command = new CommandLine(new Main());
    int understood = 0;
    for (Path page : documents()) {
      for (String block : blocks(page, "sh")) {
        for (String line : block.lines().map(String::strip).toList()) {
          if (line.startsWith("./engram ") && !line.startsWith("./engram bench")) {
            String[] words = line.substring("./engram ".length()).split(" +", -1);
            command.parseArgs(words); // throws, and says what it does not know
            understood++;
          } else {
            requireThere(page, line);
          }
        }
      }
    }
    assertTrue(understood >= 8, understood + " commands were found");
  }

  /** A script of the project's must exist; other programs are the reader's. */
  private static void requireThere(Path page, String line) {
    String program = line.split(" ", 2)[0];
    if (program.contains("/")) {
      assertTrue(Files.isExecutable(ROOT.resolve(program)), page + ": " + program);
    } else {
      assertEquals("cmake", program, page + ": " + line);
    }
  }

  @Test
  void linksLeadSomewhere() throws IOException {
    for (Path page : documents()) {
      Matcher links =
          Pattern.compile("\\]\\(([^)#:]+)(#[^)]*)?\\)").matcher(Files.readString(page));
      while (links.find()) {
        Path target = page.resolveSibling(links.group(1));
        assertTrue(Files.exists(target), page + " leads to " + links.group(1));
      }
    }
  }
}
