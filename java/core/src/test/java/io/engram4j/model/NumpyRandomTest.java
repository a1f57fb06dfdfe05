package io.engram4j.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

/** NumPy's own outputs (docs/spec.md, section 3). */
class NumpyRandomTest {
  @Test
  void firstOutputsOfTheSeedOfLayer1() {
    NumpyRandom random = new NumpyRandom(10007);
    assertEquals(0xd2c3f84026661e33L, random.nextLong());
    assertEquals(0x0d4fb6969eb57435L, random.nextLong());
    assertEquals(0x62e6e1c58c3bd72bL, random.nextLong());
    assertEquals(0xcb7dd1a94ca96343L, random.nextLong());
  }

  @Test
  void firstOutputsOfTheSeedOfLayer14() {
    NumpyRandom random = new NumpyRandom(140098);
    assertEquals(0xba3ecc29cf07c111L, random.nextLong());
    assertEquals(0x8dac4bbe10610b7cL, random.nextLong());
    assertEquals(0x550b7148777ff213L, random.nextLong());
    assertEquals(0xe33b7455bc98449eL, random.nextLong());
  }

  @Test
  void boundedDraws() {
    NumpyRandom random = new NumpyRandom(10007);
    assertEquals(38316048023122L, random.below(46_539_438_283_891L));
    assertEquals(2419938046656L, random.below(46_539_438_283_891L));
    assertEquals(0, random.below(1));
    assertEquals(17979836159674L, random.below(46_539_438_283_891L), "a bound of 1 draws nothing");
  }

  @Test
  void refusesWhatNumpyDrawsInAnotherWay() {
    NumpyRandom random = new NumpyRandom(0);
    assertThrows(IllegalArgumentException.class, () -> random.below(1L << 32));
    assertThrows(IllegalArgumentException.class, () -> random.below(0));
    assertThrows(IllegalArgumentException.class, () -> new NumpyRandom(-1));
  }
}
