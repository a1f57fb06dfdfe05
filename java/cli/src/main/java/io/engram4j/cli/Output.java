package io.engram4j.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import picocli.CommandLine.Option;

/** How a command shows its result: for people, or with {@code --json} one object for programs. */
final class Output {
  private static final ObjectMapper MAPPER =
      new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

  @Option(names = "--json", description = "Print the result as one JSON object.")
  boolean json;

  @Option(
      names = {"-h", "--help"},
      usageHelp = true,
      description = "Show this help and exit.")
  boolean help;

  private static volatile boolean failed;

  private final PrintStream out =
      new PrintStream(
          new Watched(new FileOutputStream(FileDescriptor.out)), false, StandardCharsets.UTF_8);

  /** Prints the object if JSON is wanted. */
  void json(Map<String, ?> object) {
    if (json) {
      try {
        out.println(MAPPER.writeValueAsString(object));
      } catch (JsonProcessingException e) {
        throw new IllegalStateException("a result cannot be written as JSON", e);
      }
      flush();
    }
  }

  /**
   * Tells whether everything could be written.
   *
   * @throws IOException if standard output failed, as on a full disk
   */
  static void requireWritten() throws IOException {
    if (failed) {
      throw new IOException("the result could not be written to standard output");
    }
  }

  private void flush() {
    out.flush();
  }

  /**
   * Remembers what PrintStream swallows; a reader that has seen enough, such as head, is no error.
   */
  private static final class Watched extends FilterOutputStream {
    Watched(OutputStream target) {
      super(target);
    }

    @Override
    public void write(byte[] bytes, int from, int count) throws IOException {
      try {
        out.write(bytes, from, count);
      } catch (IOException e) {
        failed |= !String.valueOf(e.getMessage()).contains("Broken pipe");
        throw e;
      }
    }
  }

  /** Prints a line for people; control characters in it, but for its own ends, are told. */
  void line(String format, Object... arguments) {
    painted(
        Text.printable(
            arguments.length == 0 ? format : String.format(Locale.ROOT, format, arguments)));
  }

  /** Prints a line that has colours of our own, and no text of a file that is not quoted. */
  void painted(String line) {
    if (!json) {
      out.println(line);
      flush();
    }
  }

  /**
   * Prints a table with a line under its header; columns whose cells are numbers stand to the
   * right.
   */
  void table(List<String> header, List<List<String>> rows) {
    if (json) {
      return;
    }
    int columns = header.size();
    int[] widths = new int[columns];
    boolean[] numeric = new boolean[columns];
    for (int column = 0; column < columns; column++) {
      int at = column;
      widths[column] = header.get(column).length();
      for (List<String> row : rows) {
        widths[column] = Math.max(widths[column], Text.width(row.get(column)));
      }
      numeric[column] =
          !rows.isEmpty()
              && rows.stream().allMatch(r -> r.get(at).matches("-|[-+]?[0-9][0-9,.eE+-]*[%x]?"));
    }
    out.println(format(header, widths, numeric));
    StringBuilder rule = new StringBuilder();
    for (int column = 0; column < columns; column++) {
      rule.append(column == 0 ? "" : "  ").append("─".repeat(widths[column]));
    }
    out.println(rule);
    for (List<String> row : rows) {
      out.println(format(row, widths, numeric));
    }
    flush();
  }

  private static String format(List<String> cells, int[] widths, boolean[] numeric) {
    StringBuilder line = new StringBuilder();
    for (int column = 0; column < widths.length; column++) {
      String cell = cells.get(column);
      String gap = " ".repeat(Math.max(0, widths[column] - Text.width(cell)));
      line.append(column == 0 ? "" : "  ").append(numeric[column] ? gap + cell : cell + gap);
    }
    return Text.printable(line.toString().stripTrailing());
  }
}
