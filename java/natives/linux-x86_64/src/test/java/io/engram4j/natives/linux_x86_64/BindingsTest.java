package io.engram4j.natives.linux_x86_64;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import io.engram4j.bindings.engram_conv_weights;
import io.engram4j.bindings.engram_gate_weights;
import io.engram4j.bindings.engram_layout;
import io.engram4j.bindings.engram_linear;
import io.engram4j.bindings.engram_table;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** Header and bindings belong together. */
class BindingsTest {
  private static final Path ROOT = Path.of("..", "..", "..");

  @Test
  void theBindingsWereMadeFromThisHeader() throws IOException, NoSuchAlgorithmException {
    byte[] header = Files.readAllBytes(ROOT.resolve("native/include/engram.h"));
    byte[] digest = MessageDigest.getInstance("SHA-256").digest(header);
    String recorded = Files.readString(ROOT.resolve("bindings/engram.h.sha256")).strip();
    assertEquals(
        recorded,
        HexFormat.of().formatHex(digest),
        "engram.h has changed: run ci/regenerate-bindings.sh");
  }

  @Test
  void noTypeDependsOnThePlatform() throws IOException {
    Path bindings = ROOT.resolve("bindings/src/main/java/io/engram4j/bindings");
    try (Stream<Path> files = Files.list(bindings)) {
      for (Path file : files.toList()) {
        assertFalse(Files.readString(file).matches("(?s).*\\bC_LONG\\b.*"), file.toString());
      }
    }
  }

  /** The same numbers as the static assertions of native/src/engram.c. */
  @Test
  void structsHaveTheSizesOfC() {
    assertEquals(48, engram_layout.sizeof());
    assertEquals(40, engram_layout.inverses$offset());
    assertEquals(40, engram_table.sizeof());
    assertEquals(16, engram_table.rows$offset());
    assertEquals(40, engram_linear.sizeof());
    assertEquals(32, engram_gate_weights.sizeof());
    assertEquals(24, engram_gate_weights.eps$offset());
    assertEquals(40, engram_conv_weights.sizeof());
  }
}
