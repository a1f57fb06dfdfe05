package io.engram4j.natives.linux_x86_64;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.bindings.cuda.engram_cuda_cache;
import io.engram4j.bindings.cuda.engram_cuda_device;
import io.engram4j.bindings.cuda.engram_cuda_layouts;
import io.engram4j.bindings.cuda.engram_cuda_queue;
import io.engram4j.bindings.engram_conv_weights;
import io.engram4j.bindings.engram_gate_weights;
import io.engram4j.bindings.engram_layout;
import io.engram4j.bindings.engram_linear;
import io.engram4j.bindings.engram_row_type;
import io.engram4j.bindings.engram_shard;
import io.engram4j.bindings.engram_table;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Headers and bindings belong together. */
class BindingsTest {
  private static final Path ROOT = Path.of("..", "..", "..");

  @TempDir Path directory;

  @ParameterizedTest
  @ValueSource(strings = {"native/include/engram.h", "native/cuda/include/engram_cuda.h"})
  void theBindingsWereMadeFromThisHeader(Path path) throws IOException, NoSuchAlgorithmException {
    byte[] header = Files.readAllBytes(ROOT.resolve(path));
    byte[] digest = MessageDigest.getInstance("SHA-256").digest(header);
    Path record = ROOT.resolve("bindings").resolve(path.getFileName() + ".sha256");
    assertEquals(
        Files.readString(record).strip(),
        HexFormat.of().formatHex(digest),
        path + " has changed: run ci/regenerate-bindings.sh");
  }

  /** Where jextract is at hand: on the path, or named by the environment. */
  @Test
  void jextractMakesTheSameAgain() throws IOException, InterruptedException {
    Path copy = Files.createDirectories(directory.resolve("again"));
    Process script =
        new ProcessBuilder(
                "sh", ROOT.resolve("ci/regenerate-bindings.sh").toString(), copy.toString())
            .redirectErrorStream(true)
            .redirectOutput(directory.resolve("jextract.txt").toFile())
            .start();
    int exit = script.waitFor();
    String out = Files.readString(directory.resolve("jextract.txt"));
    if (exit == 2) {
      assertTrue(out.contains("jextract is not on PATH"), out);
      return; // then the header's hash, above, is what holds them together
    }
    assertEquals(0, exit, out);
    Path made = copy.resolve("io/engram4j/bindings");
    Path committed = ROOT.resolve("bindings/src/main/java/io/engram4j/bindings");
    try (Stream<Path> files = Files.walk(committed)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Path again = made.resolve(committed.relativize(file).toString());
        assertEquals(-1, Files.mismatch(file, again), file.toString());
      }
    }
    System.out.println("jextract made the same bindings again");
  }

  @Test
  void noTypeDependsOnThePlatform() throws IOException {
    Path bindings = ROOT.resolve("bindings/src/main/java/io/engram4j/bindings");
    try (Stream<Path> files = Files.walk(bindings)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        assertFalse(Files.readString(file).matches("(?s).*\\bC_LONG\\b.*"), file.toString());
      }
    }
  }

  /** The same numbers as the static assertions of abi.c and runtime.cu. */
  @Test
  void structsHaveTheSizesOfC() {
    assertEquals(40, engram_row_type.sizeof());
    assertEquals(32, engram_row_type.name$offset());
    assertEquals(48, engram_layout.sizeof());
    assertEquals(40, engram_layout.inverses$offset());
    assertEquals(32, engram_shard.sizeof());
    assertEquals(88, engram_table.sizeof());
    assertEquals(56, engram_table.scale_stride$offset());
    assertEquals(16, engram_table.rows$offset());
    assertEquals(64, engram_linear.sizeof());
    assertEquals(32, engram_gate_weights.sizeof());
    assertEquals(24, engram_gate_weights.eps$offset());
    assertEquals(40, engram_conv_weights.sizeof());
    assertEquals(24, engram_cuda_queue.sizeof());
    assertEquals(16, engram_cuda_queue.most_blocks$offset());
    assertEquals(288, engram_cuda_device.sizeof());
    assertEquals(40, engram_cuda_layouts.sizeof());
    assertEquals(48, engram_cuda_cache.sizeof());
    assertEquals(40, engram_cuda_cache.counts$offset());
  }
}
