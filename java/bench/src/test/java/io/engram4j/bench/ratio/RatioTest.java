package io.engram4j.bench.ratio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;

/** Ratios and their picture; the numbers themselves are not a matter for a test. */
class RatioTest {
  private static void spin(long nanos) {
    long end = System.nanoTime() + nanos;
    while (System.nanoTime() < end) {
      Thread.onSpinWait();
    }
  }

  @Test
  void contendersTakeTurns() {
    List<String> order = new ArrayList<>();
    Race.Times times =
        new Race(3)
            .add("slow", 1, () -> order.add("slow"), () -> spin(9_000_000))
            .add("fast", 2, () -> order.add("fast"), () -> spin(3_000_000))
            .run();
    assertEquals(
        List.of("slow", "fast", "slow", "fast", "slow", "fast"),
        order.subList(order.size() - 6, order.size()));
    double ratio = Race.Times.median(times.faster("fast", "slow"));
    assertTrue(ratio > 3 && ratio < 9, "six times, but for noise: " + ratio);
    assertThrows(IllegalArgumentException.class, () -> times.of("nobody"));
  }

  @Test
  void ratiosAreTheMediansOfRounds() {
    Race.Times times =
        new Race.Times(Map.of("a", new double[] {1, 2, 1}, "b", new double[] {3, 2, 5}));
    Report report = new Report();
    report.atLeast("a_vs_b", "a / b", times.faster("a", "b"), 2, 4);
    report.atMost("b_slowdown", "b / a", new double[] {1.5}, 2, 1.3);
    Report.Ratio ratio = report.ratios.getFirst();
    assertEquals(List.of(3.0, 1.0, 5.0), List.of(ratio.median(), ratio.least(), ratio.most()));
    assertTrue(ratio.holds());
    assertFalse(ratio.reachesGoal());
    assertTrue(report.ratios.getLast().holds());
    assertFalse(report.ratios.getLast().reachesGoal());
  }

  @Test
  void theRooflineIsAPicture() throws Exception {
    String svg = new Roofline(30, 60).add("gate", 9, 13, 0.5).svg();
    var document =
        DocumentBuilderFactory.newInstance()
            .newDocumentBuilder()
            .parse(new ByteArrayInputStream(svg.getBytes(StandardCharsets.UTF_8)));
    assertEquals("svg", document.getDocumentElement().getTagName());
    assertEquals(1, document.getElementsByTagName("circle").getLength());
  }
}
