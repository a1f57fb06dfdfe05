package io.engram4j.bench.ratio;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Draws stages under the roofs that memory and arithmetic set, both axes logarithmic. */
final class Roofline {
  private static final int WIDTH = 760;
  private static final int HEIGHT = 460;
  private static final int LEFT = 70;
  private static final int BOTTOM = 400;
  private static final int RIGHT = 740;
  private static final int TOP = 40;
  private static final double LEAST_X = 0.25;
  private static final double MOST_X = 256;
  private static final double LEAST_Y = 1;
  private static final double MOST_Y = 512;

  private record Point(String name, double intensity, double gigaflops) {}

  private final double gigabytes; // a second, read
  private final double arithmetic; // gigaflops that a tuned library reaches
  private final List<Point> points = new ArrayList<>();

  /**
   * An empty picture.
   *
   * @param gigabytes that memory gives in a second
   * @param arithmetic float32 gigaflops a second of OpenBLAS, or 0 if it was not there
   */
  Roofline(double gigabytes, double arithmetic) {
    this.gigabytes = gigabytes;
    this.arithmetic = arithmetic;
  }

  /** Adds a stage by its operations and bytes a unit, and nanoseconds a unit. */
  Roofline add(String name, double operations, double bytes, double nanos) {
    if (nanos > 0) { // else it was not measured
      points.add(new Point(name, operations / bytes, operations / nanos));
    }
    return this;
  }

  private static double x(double intensity) {
    double share = Math.log(intensity / LEAST_X) / Math.log(MOST_X / LEAST_X);
    return LEFT + share * (RIGHT - LEFT);
  }

  private static double y(double gigaflops) {
    double share = Math.log(gigaflops / LEAST_Y) / Math.log(MOST_Y / LEAST_Y);
    return BOTTOM - share * (BOTTOM - TOP);
  }

  String svg() {
    StringBuilder svg = new StringBuilder();
    svg.append(
        String.format(
            Locale.ROOT,
            """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">
            <rect width="%d" height="%d" fill="white"/>
            <text x="%d" y="22" font-size="14">Stages of a V4.1 layer under this machine's roofs, one thread</text>
            """,
            WIDTH,
            HEIGHT,
            WIDTH,
            HEIGHT,
            LEFT));
    grid(svg);
    double end = Math.min(MOST_X, MOST_Y / gigabytes);
    line(svg, LEAST_X, LEAST_X * gigabytes, end, end * gigabytes, "#1f6f8b");
    label(svg, end / 2, end / 2.5 * gigabytes, "memory", gigabytes, "GB/s", "#1f6f8b");
    if (arithmetic > 0) {
      line(svg, LEAST_X, arithmetic, MOST_X, arithmetic, "#a23b3b");
      label(
          svg,
          LEAST_X * 1.15,
          arithmetic * 1.1,
          "OpenBLAS float32",
          arithmetic,
          "Gflop/s",
          "#a23b3b");
    }
    for (Point point : points) {
      double x = x(point.intensity());
      double y = y(point.gigaflops());
      boolean last = x > RIGHT - 120; // its name goes to the left
      svg.append(
          String.format(
              Locale.ROOT,
              "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"#333\"/>%n"
                  + "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>%n",
              x,
              y,
              last ? x : x + 7,
              last ? y - 9 : y + 14,
              last ? "end" : "start",
              point.name()));
    }
    return svg.append("</svg>\n").toString();
  }

  private static void grid(StringBuilder svg) {
    for (double at = LEAST_X; at <= MOST_X; at *= 4) {
      line(svg, at, LEAST_Y, at, MOST_Y, "#e4e4e4");
      text(svg, x(at) - 8, BOTTOM + 18, at < 1 ? Double.toString(at) : Integer.toString((int) at));
    }
    for (double at = LEAST_Y; at <= MOST_Y; at *= 4) {
      line(svg, LEAST_X, at, MOST_X, at, "#e4e4e4");
      text(svg, LEFT - 34, y(at) + 4, Integer.toString((int) at));
    }
    text(svg, (LEFT + RIGHT) / 2.0 - 110, BOTTOM + 42, "operations per byte read or written");
    text(svg, 8, TOP - 8, "Gflop/s");
  }

  private static void label(
      StringBuilder svg,
      double intensity,
      double gigaflops,
      String name,
      double value,
      String unit,
      String color) {
    svg.append(
        String.format(
            Locale.ROOT,
            "<text x=\"%.1f\" y=\"%.1f\" fill=\"%s\">%s, %.0f %s</text>%n",
            x(intensity),
            y(gigaflops),
            color,
            name,
            value,
            unit));
  }

  private static void text(StringBuilder svg, double x, double y, String text) {
    svg.append(
        String.format(
            Locale.ROOT, "<text x=\"%.1f\" y=\"%.1f\" fill=\"#555\">%s</text>%n", x, y, text));
  }

  private static void line(
      StringBuilder svg, double x1, double y1, double x2, double y2, String color) {
    svg.append(
        String.format(
            Locale.ROOT,
            "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>%n",
            x(x1),
            y(y1),
            x(x2),
            y(y2),
            color));
  }
}
