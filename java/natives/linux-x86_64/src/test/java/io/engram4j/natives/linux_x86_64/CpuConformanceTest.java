package io.engram4j.natives.linux_x86_64;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.Backends;
import io.engram4j.cpu.CpuProvider;
import io.engram4j.kernel.Backend;
import io.engram4j.kernel.BackendProvider;
import io.engram4j.tck.Conformance;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** The C kernels, at every tier that this CPU has, held to the Java backend. */
class CpuConformanceTest {
  @AfterEach
  void clear() {
    System.clearProperty(CpuProvider.MAX_TIER);
  }

  /** The tiers that this CPU must have, told from what Linux says of it. */
  private static List<String> tiers() throws IOException {
    List<String> tiers = new ArrayList<>(List.of("scalar"));
    List<String> flags =
        Files.readAllLines(Path.of("/proc/cpuinfo")).stream()
            .filter(line -> line.startsWith("flags"))
            .limit(1)
            .flatMap(line -> List.of(line.split("\\s+", -1)).stream())
            .toList();
    if (flags.containsAll(List.of("avx2", "fma", "f16c", "xsave"))) {
      tiers.add("avx2");
      if (flags.containsAll(List.of("avx512f", "avx512bw", "avx512dq", "avx512vl"))) {
        tiers.add("avx512");
        if (flags.containsAll(List.of("avx512_bf16", "avx512vbmi"))
            || flags.containsAll(List.of("avx512_bf16", "avx512_vbmi"))) {
          tiers.add("avx512_bf16");
          if (flags.containsAll(List.of("amx_tile", "amx_bf16"))) {
            tiers.add("amx_bf16");
          }
        }
      }
    }
    return tiers;
  }

  @Test
  void everyTierConforms() throws IOException {
    for (String tier : tiers()) {
      System.setProperty(CpuProvider.MAX_TIER, tier);
      Backend backend = Backends.named("cpu");
      assertTrue(
          backend.description().contains("tier " + tier + ","),
          "wanted " + tier + ": " + backend.description());
      Conformance.Report report = Conformance.of(backend).memory(GuardedMemory::new).run();
      String line =
          "conformance of cpu at tier "
              + tier
              + ", seed "
              + report.seed()
              + ", "
              + report.cases()
              + ", cases: "
              + report.total();
      System.out.println(line);
      Path counts = Files.createDirectories(Path.of("target", "case-counts"));
      Files.writeString(counts.resolve("conformance-cpu-" + tier + ".txt"), line + "\n");
      report.requirePassed();
    }
  }

  /** The dispatcher against what Linux says, and a cap of another architecture by its level. */
  @Test
  void takesTheBestTierAndACapOnlyLowers() throws IOException {
    List<String> tiers = tiers();
    List<String> all = List.of("scalar", "avx2", "avx512", "avx512_bf16", "amx_bf16");
    for (String cap : List.of("scalar", "avx2", "avx512", "avx512_bf16", "amx_bf16", "neon")) {
      System.setProperty(CpuProvider.MAX_TIER, cap);
      int level = cap.equals("neon") ? 1 : all.indexOf(cap);
      String expected = tiers.get(Math.min(level, tiers.size() - 1));
      String description = Backends.named("cpu").description();
      assertTrue(description.contains("tier " + expected + ","), cap + ": " + description);
    }
    System.clearProperty(CpuProvider.MAX_TIER);
    for (BackendProvider.Variant variant : new CpuProvider().variants()) {
      String tier = variant.name().replace("tier ", "");
      assertEquals(tiers.contains(tier), variant.unavailable().isEmpty(), variant.toString());
      assertEquals(tiers.getLast().equals(tier), variant.chosen(), variant.toString());
    }
  }

  @Test
  void isTheBestChoiceByItself() {
    assertEquals("cpu", Backends.select().name());
  }

  @Test
  void aTierThatIsNoneIsRefused() {
    System.setProperty(CpuProvider.MAX_TIER, "avx1024".toLowerCase(Locale.ROOT));
    IllegalArgumentException e =
        org.junit.jupiter.api.Assertions.assertThrows(
            IllegalArgumentException.class, () -> Backends.named("cpu"));
    assertTrue(String.valueOf(e.getMessage()).contains("there is no tier avx1024"), e.toString());
  }
}
