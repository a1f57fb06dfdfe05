package io.engram4j.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/** A picture of what share of lookups the most wanted rows serve, by how many they are. */
final class SharePlot {
  private static final int WIDTH = 640;
  private static final int HEIGHT = 360;
  private static final int LEFT = 60;
  private static final int BOTTOM = 310;
  private static final int TOP = 40;
  private static final String[] COLOURS = {"#0b6e99", "#d9730d", "#448361", "#9065b0"};

  private SharePlot() {}

  /** One layer's line: shares at 1, 2, 4, ... rows. */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  record Line(String name, double[] shares) {}

  static void write(Path file, String title, List<Line> lines) throws IOException {
    int most = lines.stream().mapToInt(line -> line.shares().length).max().orElse(1);
    StringBuilder svg = new StringBuilder();
    svg.append(
        """
        <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">
        <rect width="100%%" height="100%%" fill="white"/>
        <text x="%d" y="22" font-size="14">%s</text>
        """
            .formatted(WIDTH, HEIGHT, LEFT, escaped(title)));
    for (int percent = 0; percent <= 100; percent += 20) {
      double y = y(percent / 100.0);
      svg.append(
          String.format(
              Locale.ROOT,
              "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#ddd\"/>"
                  + "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%d %%</text>%n",
              LEFT,
              y,
              WIDTH - 20,
              y,
              LEFT - 6,
              y + 4,
              percent));
    }
    for (int power = 0; x(power, most) < WIDTH - 60; power += 4) {
      svg.append(
          String.format(
              Locale.ROOT,
              "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>%n",
              x(power, most),
              BOTTOM + 18,
              Text.count(1L << power)));
    }
    svg.append(
        String.format(
            Locale.ROOT,
            "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">most wanted rows of a layer</text>%n",
            (LEFT + WIDTH) / 2,
            BOTTOM + 38));
    for (int i = 0; i < lines.size(); i++) {
      line(svg, lines.get(i), COLOURS[i % COLOURS.length], most, i);
    }
    Files.writeString(file, svg.append("</svg>\n"));
  }

  private static void line(StringBuilder svg, Line line, String colour, int most, int index) {
    svg.append("<polyline fill=\"none\" stroke-width=\"2\" stroke=\"").append(colour);
    svg.append("\" points=\"");
    for (int power = 0; power < line.shares().length; power++) {
      double y = y(line.shares()[power]);
      svg.append(String.format(Locale.ROOT, "%.1f,%.1f ", x(power, most), y));
    }
    svg.append("\"/>\n");
    svg.append(
        String.format(
            Locale.ROOT,
            "<text x=\"%d\" y=\"%d\" fill=\"%s\">%s</text>%n",
            LEFT + 12,
            TOP + 14 + 16 * index,
            colour,
            escaped(line.name())));
  }

  private static String escaped(String text) {
    return text.replace("&", "&amp;").replace("<", "&lt;");
  }

  private static double x(int power, int most) {
    return LEFT + (WIDTH - 20.0 - LEFT) * power / Math.max(1, most - 1);
  }

  private static double y(double share) {
    return BOTTOM - (BOTTOM - TOP) * share;
  }
}
