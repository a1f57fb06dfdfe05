package io.engram4j.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.SerializationFeature;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import picocli.CommandLine.Option;

/** How a command shows its result: for people, or with {@code --json} one object for programs. */
final class Output {
  private static final int WIDTH = 80;
  private static final ObjectMapper MAPPER =
      new ObjectMapper()
          .setPropertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE) // of records
          .enable(SerializationFeature.INDENT_OUTPUT);

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
   * right. If it is wider than 80 columns, the widest column of words goes on in further lines.
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
    int wrapped = narrow(widths, numeric);
    out.println(format(header, widths, numeric));
    StringBuilder rule = new StringBuilder();
    for (int column = 0; column < columns; column++) {
      rule.append(column == 0 ? "" : "  ").append("─".repeat(widths[column]));
    }
    out.println(rule);
    for (List<String> row : rows) {
      List<String> lines = Text.wrap(row.get(wrapped), widths[wrapped]);
      for (int line = 0; line < lines.size(); line++) {
        List<String> cells = new ArrayList<>(line == 0 ? row : Collections.nCopies(columns, ""));
        cells.set(wrapped, lines.get(line));
        out.println(format(cells, widths, numeric));
      }
    }
    flush();
  }

  /** Makes the widest column of words narrower, if the table is too wide; returns which it is. */
  private static int narrow(int[] widths, boolean[] numeric) {
    int widest = 0;
    for (int column = 0; column < widths.length; column++) {
      if (!numeric[column] && (numeric[widest] || widths[column] > widths[widest])) {
        widest = column;
      }
    }
    int total = Arrays.stream(widths).sum() + 2 * (widths.length - 1);
    widths[widest] = Math.min(widths[widest], Math.max(24, widths[widest] - (total - WIDTH)));
    return widest;
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
