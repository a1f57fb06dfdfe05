package io.engram4j.model;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;

/** Strides: what fits, and what would write one branch into another. */
class HiddenStreamTest {
  private static final int BRANCHES = 4;
  private static final int SIZE = 160;
  private static final long ROW = 4L * SIZE;
  private static final long TOKENS = 3;

  private static HiddenStream stream(long tokenStride, long branchStride) {
    MemorySegment data = MemorySegment.ofArray(new byte[65_536]);
    return new HiddenStream(data, Dtype.F32, tokenStride, branchStride);
  }

  private static void fits(long tokenStride, long branchStride) {
    assertDoesNotThrow(() -> stream(tokenStride, branchStride).check(TOKENS, BRANCHES, SIZE));
  }

  private static void overlaps(long tokenStride, long branchStride) {
    HiddenStream stream = stream(tokenStride, branchStride);
    IllegalArgumentException e =
        assertThrows(IllegalArgumentException.class, () -> stream.check(TOKENS, BRANCHES, SIZE));
    String message = String.valueOf(e.getMessage());
    assertTrue(message.contains("overlap") && message.contains("" + ROW), message);
  }

  @Test
  void tokensOrBranchesMayLieWithin() {
    fits(BRANCHES * ROW, ROW);
    fits(BRANCHES * ROW + 8, ROW); // gaps between tokens
    fits(BRANCHES * (ROW + 16) - 16, ROW + 16); // and between branches
    fits(ROW, TOKENS * ROW); // all tokens of a branch, then the next branch's
  }

  @Test
  void whatOverlapsIsRefused() {
    overlaps(BRANCHES * ROW, ROW - 1);
    overlaps(BRANCHES * ROW - 1, ROW);
    overlaps(ROW, TOKENS * ROW - 1);
    overlaps(0, ROW);
    overlaps(BRANCHES * ROW, 0);
    overlaps(ROW, ROW);
    overlaps(BRANCHES * 400L, 400); // made for a width of 100
  }

  @Test
  void stridesOfOneDoNotCount() {
    assertDoesNotThrow(() -> stream(0, ROW).check(1, BRANCHES, SIZE));
    assertDoesNotThrow(() -> stream(ROW, 0).check(TOKENS, 1, SIZE));
    assertDoesNotThrow(() -> stream(0, 0).check(0, BRANCHES, SIZE));
  }
}
