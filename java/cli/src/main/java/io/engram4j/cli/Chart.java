package io.engram4j.cli;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/**
 * A chart: as SVG, and its numbers as CSV.
 *
 * @param name of its files
 * @param title what it shows
 * @param note what to know about it
 * @param x what stands along the bottom
 * @param y what stands at the side
 * @param labels of the places along the bottom
 * @param series of numbers, one for each label; NaN where there is none
 * @param kind how it is drawn
 */
record Chart(
    String name,
    String title,
    String note,
    String x,
    String y,
    List<String> labels,
    List<Series> series,
    Kind kind) {
  private static final int WIDTH = 680;
  private static final int HEIGHT = 320;
  private static final int LEFT = 56;
  private static final int RIGHT = 16;
  private static final int TOP = 34;
  private static final int BOTTOM = 250;
  private static final String[] COLOURS = {"#0b6e99", "#d9730d", "#b8b8b8", "#448361", "#9065b0"};

  /** How numbers are drawn. */
  enum Kind {
    BARS,
    LINES,
    /** Series as rows, numbers as colours. */
    HEAT
  }

  /** Numbers with a name. */
  record Series(String name, List<Double> values) {
    static Series of(String name, double... values) {
      return new Series(name, Arrays.stream(values).boxed().toList());
    }
  }

  /** Returns the numbers, a label a line. */
  String csv() {
    StringBuilder csv = new StringBuilder(x.isEmpty() ? "kind" : quoted(x));
    series.forEach(each -> csv.append(',').append(quoted(each.name())));
    csv.append('\n');
    for (int i = 0; i < labels.size(); i++) {
      csv.append(quoted(labels.get(i)));
      for (Series each : series) {
        double value = each.values().get(i);
        csv.append(',')
            .append(Double.isNaN(value) ? "" : String.format(Locale.ROOT, "%.6g", value));
      }
      csv.append('\n');
    }
    return csv.toString();
  }

  private static String quoted(String text) {
    return text.matches("[\\w .:+-]*") ? text : '"' + text.replace("\"", "\"\"") + '"';
  }

  /** Returns the picture, complete in itself. */
  String svg() {
    StringBuilder svg = new StringBuilder();
    add(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\""
            + " font-size=\"12\" role=\"img\" aria-label=\"%s\">%n",
        WIDTH,
        HEIGHT,
        escaped(title));
    add(svg, "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>%n");
    if (kind == Kind.HEAT) {
      heat(svg);
    } else {
      axes(svg);
      for (int i = 0; i < series.size(); i++) {
        draw(svg, i);
        add(
            svg,
            "<rect x=\"%d\" y=\"10\" width=\"12\" height=\"12\" fill=\"%s\"/><text x=\"%d\""
                + " y=\"20\">%s</text>%n",
            LEFT + i * 150,
            colour(i),
            LEFT + i * 150 + 17,
            escaped(series.get(i).name()));
      }
    }
    return svg.append("</svg>\n").toString();
  }

  /** Layers have others than on and off. */
  private String colour(int index) {
    int first = series.get(index).name().startsWith("layer ") ? 3 : 0;
    return COLOURS[(first + index) % COLOURS.length];
  }

  private double[] range() {
    double low = Double.POSITIVE_INFINITY;
    double high = Double.NEGATIVE_INFINITY;
    for (Series each : series) {
      for (double value : each.values()) {
        if (!Double.isNaN(value)) {
          low = Math.min(low, value);
          high = Math.max(high, value);
        }
      }
    }
    if (!(low <= high)) {
      return new double[] {0, 1};
    }
    double room = Math.max(1e-6, high - low) * 0.15;
    boolean fromZero = kind == Kind.BARS || (low >= 0 && low < high / 3);
    return new double[] {fromZero ? Math.min(0, low) : low - room, high + room};
  }

  private double yOf(double value, double[] range) {
    return BOTTOM - (BOTTOM - TOP) * (value - range[0]) / (range[1] - range[0]);
  }

  private double slot() {
    return (WIDTH - LEFT - RIGHT) / (double) Math.max(1, labels.size());
  }

  private void axes(StringBuilder svg) {
    double[] range = range();
    double step = Math.pow(10, Math.floor(Math.log10(range[1] - range[0])));
    while ((range[1] - range[0]) / step < 4) {
      step /= 2;
    }
    for (double at = Math.ceil(range[0] / step) * step; at <= range[1]; at += step) {
      double level = yOf(at, range);
      add(
          svg,
          "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#ddd\"/><text x=\"%d\""
              + " y=\"%.1f\" text-anchor=\"end\" fill=\"#555\">%s</text>%n",
          LEFT,
          level,
          WIDTH - RIGHT,
          level,
          LEFT - 6,
          level + 4,
          String.format(Locale.ROOT, step < 0.01 ? "%.3f" : step < 1 ? "%.2f" : "%.0f", at + 0.0));
    }
    for (int i = 0; i < labels.size(); i++) {
      double middle = LEFT + slot() * (i + 0.5);
      List<String> lines = Text.wrap(labels.get(i), Math.max(6, (int) (slot() / 6.2)));
      for (int line = 0; line < lines.size(); line++) {
        add(
            svg,
            "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" font-size=\"11\">%s</text>%n",
            middle,
            BOTTOM + 15 + 12 * line,
            escaped(lines.get(line)));
      }
    }
    add(
        svg,
        "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\" fill=\"#555\">%s</text>%n",
        (LEFT + WIDTH) / 2,
        HEIGHT - 6,
        escaped(x));
    add(
        svg,
        "<text transform=\"translate(13 %d) rotate(-90)\" text-anchor=\"middle\""
            + " fill=\"#555\">%s</text>%n",
        (TOP + BOTTOM) / 2,
        escaped(y));
  }

  private void draw(StringBuilder svg, int index) {
    double[] range = range();
    String colour = colour(index);
    List<Double> values = series.get(index).values();
    List<String> points = new ArrayList<>();
    for (int i = 0; i < values.size(); i++) {
      double value = values.get(i);
      if (Double.isNaN(value)) {
        continue;
      }
      double level = yOf(value, range);
      if (kind == Kind.LINES) {
        double at = LEFT + slot() * (i + 0.5);
        points.add(String.format(Locale.ROOT, "%.1f,%.1f", at, level));
        add(
            svg,
            "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" fill=\"%s\"><title>%s: %.4g</title></circle>%n",
            at,
            level,
            colour,
            escaped(labels.get(i)),
            value);
      } else {
        double wide = slot() * 0.8 / series.size();
        add(
            svg,
            "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"><title>%s:"
                + " %.4g</title></rect>%n",
            LEFT + slot() * (i + 0.1) + wide * index,
            level,
            wide,
            yOf(Math.max(0, range[0]), range) - level,
            colour,
            escaped(labels.get(i)),
            value);
      }
    }
    if (kind == Kind.LINES) {
      add(
          svg,
          "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" points=\"%s\"/>%n",
          colour,
          String.join(" ", points));
    }
  }

  private void heat(StringBuilder svg) {
    double[] range = range();
    double tall = (BOTTOM - TOP) / (double) Math.max(1, series.size());
    for (int row = 0; row < series.size(); row++) {
      add(
          svg,
          "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>%n",
          LEFT - 6,
          TOP + tall * (row + 0.5) + 4,
          escaped(series.get(row).name()));
      for (int i = 0; i < labels.size(); i++) {
        double value = series.get(row).values().get(i);
        double part = Math.clamp((value - range[0]) / (range[1] - range[0]), 0, 1);
        add(
            svg,
            "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"rgb(%d,%d,%d)\"/>"
                + "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" fill=\"%s\">%.2f</text>%n",
            LEFT + slot() * i,
            TOP + tall * row,
            slot() - 1,
            tall - 1,
            Math.round(245 - 234 * part),
            Math.round(247 - 137 * part),
            Math.round(250 - 97 * part),
            LEFT + slot() * (i + 0.5),
            TOP + tall * (row + 0.5) + 4,
            part > 0.55 ? "white" : "black",
            value);
      }
    }
    for (int i = 0; i < labels.size(); i++) {
      add(
          svg,
          "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>%n",
          LEFT + slot() * (i + 0.5),
          BOTTOM + 16,
          escaped(labels.get(i)));
    }
    add(
        svg,
        "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\" fill=\"#555\">%s</text>%n",
        (LEFT + WIDTH) / 2,
        BOTTOM + 36,
        escaped(x + "; rows: " + y));
  }

  private static void add(StringBuilder to, String format, Object... arguments) {
    to.append(String.format(Locale.ROOT, format, arguments));
  }

  /** Returns text that XML and HTML take as text. */
  static String escaped(String text) {
    return text.chars()
        .mapToObj(c ->
            switch (c) {
              case '&' -> "&amp;";
              case '<' -> "&lt;";
              case '>' -> "&gt;";
              case '"' -> "&quot;";
              default -> Character.toString(c);
            })
        .collect(Collectors.joining());
  }
}
