package io.engram4j.cli;

import java.util.Locale;

/** Text whose background, or a bar after each token where there is no colour, shows a number. */
final class GateStrip {
  private static final int[] COLOURS = {25, 31, 67, 109, 145, 180, 173, 166};
  private static final int[] INK = {231, 231, 231, 16, 16, 16, 16, 231};
  private static final String BARS = "▁▂▃▄▅▆▇█";

  private GateStrip() {}

  private static boolean colour() {
    return System.getenv("NO_COLOR") == null && Progress.isTerminal();
  }

  static String legend() {
    if (!colour()) {
      return BARS;
    }
    StringBuilder legend = new StringBuilder();
    for (int colour : COLOURS) {
      legend.append("\u001b[48;5;").append(colour).append("m \u001b[0m");
    }
    return legend.toString();
  }

  static String paint(String[] pieces, double[] values, double low, double high) {
    boolean colour = colour();
    StringBuilder out = new StringBuilder("   ");
    for (int i = 0; i < pieces.length; i++) {
      int level = (int) Math.min(7, 8 * (values[i] - low) / Math.max(high - low, 1e-9));
      String piece = Text.printable(pieces[i]);
      if (colour) {
        // a background must not run on over the end of a line
        String open =
            String.format(
                Locale.ROOT, "\u001b[48;5;%dm\u001b[38;5;%dm", COLOURS[level], INK[level]);
        out.append(open).append(piece.replace("\n", "\u001b[0m\n   " + open)).append("\u001b[0m");
      } else {
        String body = piece.stripTrailing();
        out.append(body).append(BARS.charAt(level));
        out.append(piece.substring(body.length()).replace("\n", "\n   "));
      }
    }
    return out.toString().stripTrailing();
  }
}
