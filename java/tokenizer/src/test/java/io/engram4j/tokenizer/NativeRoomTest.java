package io.engram4j.tokenizer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Where stack or heap end, encoding ends in an error of Java. Each test has a process of its own,
 * since it is the process that would end.
 */
class NativeRoomTest {
  private static final String TEXT = "a few words, 1 line, é漢字𝄞\n".repeat(1000);

  @TempDir Path directory;

  private void run(String what, String... options) throws Exception {
    Path file = Files.writeString(directory.resolve("tokenizer.json"), TextTokenizerTest.letters());
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of(options));
    command.addAll(List.of("--enable-native-access=ALL-UNNAMED", "-cp"));
    command.add(System.getProperty("java.class.path"));
    command.addAll(List.of(Child.class.getName(), what, file.toString()));
    Process child = new ProcessBuilder(command).redirectErrorStream(true).start();
    String out = new String(child.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, child.waitFor(), out);
    assertTrue(out.contains("errors, then the right tokens"), out);
  }

  @Test
  void theEndOfAStack() throws Exception {
    run("stack");
  }

  @Test
  void aFullHeap() throws Exception {
    run("heap", "-Xmx24m");
  }

  /** What the processes run. */
  static final class Child {
    private final TextTokenizer tokenizer;
    private final int[] expected;
    private int errors;
    private int encoded;

    private Child(TextTokenizer tokenizer) {
      this.tokenizer = tokenizer;
      this.expected = tokenizer.encode(TEXT);
    }

    public static void main(String[] args) throws IOException, InterruptedException {
      try (TextTokenizer tokenizer = TextTokenizer.open(Path.of(args[1]))) {
        Child child = new Child(tokenizer);
        if (args[0].equals("stack")) {
          for (int size = 200; size <= 1600; size += 200) {
            Thread thread = new Thread(null, () -> child.descend(0), "deep", size << 10);
            thread.start();
            thread.join();
          }
        } else {
          child.fill();
        }
        assertTrue(child.errors > 0 && child.encoded > 0);
        System.out.println(child.errors + " errors, then the right tokens");
      }
    }

    private void encode() {
      try {
        assertArrayEquals(expected, tokenizer.encode(TEXT));
        encoded++;
      } catch (StackOverflowError | OutOfMemoryError e) {
        errors++;
        throw e;
      }
    }

    private void descend(int frames) {
      try {
        if (frames < Integer.MAX_VALUE) { // always
          descend(frames + 1);
        }
      } catch (StackOverflowError e) {
        encode(); // in each frame on the way back until it goes well
      }
    }

    private void fill() {
      List<byte[]> full = new ArrayList<>();
      try {
        while (full.size() < Integer.MAX_VALUE) {
          full.add(new byte[16 << 10]);
        }
      } catch (OutOfMemoryError e) {
        while (encoded < 20) {
          full.removeLast();
          try {
            encode();
          } catch (OutOfMemoryError again) {
            // one more goes
          }
        }
      }
    }
  }
}
