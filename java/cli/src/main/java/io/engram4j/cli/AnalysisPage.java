package io.engram4j.cli;

import io.engram4j.train.analysis.Gates;
import io.engram4j.train.data.Bpe;
import io.engram4j.train.model.Batch;
import java.io.IOException;
import java.io.InputStream;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Objects;

/**
 * One page, complete in itself: headline numbers, charts with their numbers, gates on sentences.
 */
final class AnalysisPage {
  private final StringBuilder body = new StringBuilder();
  private final List<Chart> charts = new ArrayList<>();

  /** A headline number: what it says, and what that means. */
  record Headline(String value, String meaning) {}

  AnalysisPage headlines(List<Headline> headlines) {
    body.append("<div class=\"headlines\">\n");
    for (Headline each : headlines) {
      body.append("<div><b>")
          .append(Chart.escaped(each.value()))
          .append("</b><span>")
          .append(Chart.escaped(each.meaning()))
          .append("</span></div>\n");
    }
    body.append("</div>\n");
    return this;
  }

  AnalysisPage chart(Chart chart) {
    charts.add(chart);
    String csv = URLEncoder.encode(chart.csv(), StandardCharsets.UTF_8).replace("+", "%20");
    body.append("<section id=\"").append(chart.name()).append("\"><h2>");
    body.append(Chart.escaped(chart.title())).append("</h2>\n<p>");
    body.append(Chart.escaped(chart.note())).append("</p>\n").append(chart.svg());
    body.append("<details><summary>numbers</summary>").append(table(chart));
    body.append("<a download=\"").append(chart.name()).append(".csv\" href=\"data:text/csv,");
    body.append(csv).append("\">CSV</a></details></section>\n");
    return this;
  }

  private static String table(Chart chart) {
    StringBuilder table = new StringBuilder("<table><tr><th>");
    table.append(Chart.escaped(chart.x())).append("</th>");
    chart
        .series()
        .forEach(each -> table.append("<th>").append(Chart.escaped(each.name())).append("</th>"));
    table.append("</tr>\n");
    for (int i = 0; i < chart.labels().size(); i++) {
      table.append("<tr><td>").append(Chart.escaped(chart.labels().get(i))).append("</td>");
      for (Chart.Series each : chart.series()) {
        double value = each.values().get(i);
        String text = Double.isNaN(value) ? "" : String.format(Locale.ROOT, "%.4g", value);
        table.append("<td>").append(text).append("</td>");
      }
      table.append("</tr>\n");
    }
    return table.append("</table>").toString();
  }

  /**
   * Adds sentences coloured by gate.
   *
   * @param gates [Engram layers][tokens] of the batch's tokens
   */
  AnalysisPage strips(List<Gates> layers, Bpe bpe, Batch batch, double[][] gates) {
    body.append(
        "<section id=\"gates\"><h2>Gates, token by token</h2>\n<p>The gate of each token, from 0 to 1, mean"
            + " of the branches: how much of what the n-grams that end there have in the memory enters"
            + " the stream. Held-out text, the first of it. ");
    for (int i = 0; i <= 10; i += 2) {
      body.append(
          String.format(
              Locale.ROOT,
              "<span style=\"background:rgba(11,110,153,%.2f);padding:0 .4em\">%.1f</span>",
              shade(i / 10.0),
              i / 10.0));
    }
    body.append("</p>\n");
    for (int layer = 0; layer < gates.length; layer++) {
      body.append("<h3>layer ").append(layers.get(layer).layer()).append("</h3>\n");
      for (int sequence = 0; sequence < batch.sequences(); sequence++) {
        body.append("<p class=\"strip\">");
        for (int i = 0; i < batch.length(); i++) {
          int token = sequence * batch.length() + i;
          if (batch.targets()[token] < 0 && batch.ids()[token] == Bpe.PAD) {
            continue;
          }
          double gate = gates[layer][token];
          body.append(
              String.format(
                  Locale.ROOT,
                  "<span style=\"background:rgba(11,110,153,%.2f)\" title=\"%.2f\">%s</span>",
                  shade(gate),
                  gate,
                  Chart.escaped(bpe.decode(batch.ids()[token])).replace("\n", "⏎\n")));
        }
        body.append("</p>\n");
      }
    }
    body.append("</section>\n");
    return this;
  }

  /** How dark a gate is shown: dark letters stay readable on all of them. */
  private static double shade(double gate) {
    return 0.8 * gate * gate;
  }

  /** Adds what the paper claims, and where that is on this page. */
  AnalysisPage claims(List<String[]> claims) {
    body.append("<section id=\"claims\"><h2>What the paper claims, and what is here</h2>\n<table>");
    for (String[] claim : claims) {
      body.append("<tr><td>")
          .append(Chart.escaped(claim[0]))
          .append("</td><td class=\"text\">")
          .append(Chart.escaped(claim[1]))
          .append("</td></tr>\n");
    }
    body.append("</table></section>\n");
    return this;
  }

  /** Writes the page. */
  void write(Path file, String title, String about) throws IOException {
    try (InputStream in = AnalysisPage.class.getResourceAsStream("analysis.html")) {
      String page = new String(Objects.requireNonNull(in).readAllBytes(), StandardCharsets.UTF_8);
      Files.writeString(
          file,
          page.replace("<!--TITLE-->", Chart.escaped(title))
              .replace("<!--ABOUT-->", Chart.escaped(about))
              .replace("<!--BODY-->", body));
    }
  }

  /** Writes each chart as a picture and as numbers. */
  void writeFiles(Path directory) throws IOException {
    Files.createDirectories(directory);
    for (Chart chart : charts) {
      Files.writeString(directory.resolve(chart.name() + ".svg"), chart.svg());
      Files.writeString(directory.resolve(chart.name() + ".csv"), chart.csv());
    }
  }
}
