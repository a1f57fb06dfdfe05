package io.engram4j.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.Backends;
import io.engram4j.kernel.Backend;
import io.engram4j.natives.linux_x86_64.GuardedMemory;
import io.engram4j.tck.Conformance;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * The CUDA kernels held to the Java backend: in the shim, or on a device, by ci/gpu, if the
 * property {@code engram.cuda.card} says so.
 */
class CudaConformanceTest {
  private static final boolean CARD = Boolean.getBoolean("engram.cuda.card");

  @BeforeAll
  static void shim() {
    if (!CARD) {
      Shim.use();
    }
  }

  /** A backend's memory goes when nobody has its kernels any more. */
  @AfterAll
  static void nothingIsLeft() throws InterruptedException {
    long left = CARD ? 0 : 1;
    for (int round = 0; left > 0 && round < 200; round++) {
      System.gc();
      Thread.sleep(50);
      left =
          Shim.count(Shim.Count.DEVICE_ALLOCATIONS)
              + Shim.count(Shim.Count.HOST_ALLOCATIONS)
              + Shim.count(Shim.Count.STREAMS);
    }
    assertEquals(0, left);
  }

  @Test
  void conforms() throws IOException {
    Backend backend = Backends.named("cuda");
    Conformance.Report report = Conformance.of(backend).memory(GuardedMemory::new).run();
    String line =
        "conformance of cuda, "
            + CudaDevice.of(0).name()
            + ", seed "
            + report.seed()
            + ", "
            + report.cases()
            + ", cases: "
            + report.total();
    System.out.println(line);
    Path counts = Files.createDirectories(Path.of("target", "case-counts"));
    Files.writeString(counts.resolve("conformance-cuda.txt"), line + "\n");
    report.requirePassed();
  }

  @Test
  void isTakenByNameAlone() {
    assertEquals("cpu", Backends.select().name());
    String library = CARD ? "libengram_cuda.so" : "libengram_cuda_shim.so";
    assertTrue(Backends.named("cuda,cpu").description().contains(library));
  }
}
