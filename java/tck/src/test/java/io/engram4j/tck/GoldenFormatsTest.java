package io.engram4j.tck;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.engram4j.format.Bfloat16;
import io.engram4j.format.E4m3;
import io.engram4j.format.E8m0;
import io.engram4j.hf.SafetensorsFile;
import io.engram4j.hf.TensorData;
import io.engram4j.hf.TensorInfo;
import io.engram4j.hf.TokenizerJson;
import io.engram4j.model.RowHashing;
import io.engram4j.model.TokenMap;
import io.engram4j.tokenizer.TextTokenizer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Number formats, multipliers and the token map against the golden files. */
class GoldenFormatsTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir static Path golden;

  @BeforeAll
  static void extract() throws IOException {
    Golden.extract(golden);
  }

  private static float[] formats(String name) throws IOException {
    Map<String, TensorInfo> tensors =
        SafetensorsFile.open(golden.resolve("formats.safetensors")).tensors();
    return TensorData.floats(Objects.requireNonNull(tensors.get(name)));
  }

  /** Bits, with all NaNs alike: which NaN a code stands for is nobody's business. */
  private static int[] bits(float[] values) {
    return IntStream.range(0, values.length).map(i -> Float.floatToIntBits(values[i])).toArray();
  }

  private static float[] decode(java.util.function.IntToDoubleFunction format) {
    float[] values = new float[256];
    for (int code = 0; code < 256; code++) {
      values[code] = (float) format.applyAsDouble(code);
    }
    return values;
  }

  @Test
  void allCodesOfE4m3() throws IOException {
    assertArrayEquals(bits(formats("e4m3_as_f32")), bits(decode(E4m3::toFloat)));
  }

  @Test
  void allCodesOfE8m0() throws IOException {
    assertArrayEquals(bits(formats("e8m0_as_f32")), bits(decode(E8m0::toFloat)));
  }

  @Test
  void roundingToBf16() throws IOException {
    float[] in = formats("bf16_in_f32");
    float[] rounded = new float[in.length];
    for (int i = 0; i < in.length; i++) {
      rounded[i] = Bfloat16.round(in[i]);
    }
    assertArrayEquals(bits(formats("bf16_out")), bits(rounded));
  }

  @Test
  void multipliersOfEveryLayerAndSeed() throws IOException {
    JsonNode all = JSON.readTree(golden.resolve("multipliers.json").toFile()).get("multipliers");
    assertEquals(9, all.size());
    for (JsonNode one : all) {
      long[] expected = new long[one.get("multipliers").size()];
      for (int i = 0; i < expected.length; i++) {
        expected[i] = Long.parseLong(one.get("multipliers").get(i).asText());
      }
      assertArrayEquals(
          expected,
          RowHashing.NUMPY_DRAW.multipliers(
              one.get("layer").asInt(),
              0, // the place among layers tells nothing here
              one.get("shifts").asInt(),
              one.get("compressed").asInt(),
              one.get("seed").asLong()),
          one.toString());
    }
  }

  @Test
  void theWholeTokenMap() throws IOException {
    JsonNode expected = JSON.readTree(golden.resolve("token-map.json").toFile()).get("tokenizer");
    TokenMap map = TokenMap.build(TokenizerJson.read(golden.resolve("mini-v41/tokenizer.json")));
    assertEquals(expected.get("size").asInt(), map.size());
    assertEquals(expected.get("compressed").asInt(), map.distinct());
    List<Integer> values = new ArrayList<>();
    expected.get("map").forEach(value -> values.add(value.asInt()));
    assertArrayEquals(values.stream().mapToInt(Integer::intValue).toArray(), map.toArray());
  }

  @Test
  void theTokenIdsOfFiveLines() throws IOException {
    JsonNode lines = JSON.readTree(golden.resolve("token-map.json").toFile()).get("lines");
    assertEquals(5, lines.size());
    try (TextTokenizer tokenizer = TextTokenizer.open(golden.resolve("mini-v41/tokenizer.json"))) {
      for (JsonNode line : lines) {
        List<Integer> ids = new ArrayList<>();
        line.get("ids").forEach(id -> ids.add(id.asInt()));
        assertArrayEquals(
            ids.stream().mapToInt(Integer::intValue).toArray(),
            tokenizer.encode(line.get("text").asText()));
      }
    }
  }

  @Test
  void anInfinityHidesNoOtherError() {
    double infinity = Double.POSITIVE_INFINITY;
    float[] actual = {Float.POSITIVE_INFINITY, 2};
    assertEquals(0.5, Compare.norm("t", actual, new double[] {infinity, 4}).error());
    assertEquals(infinity, Compare.norm("t", actual, new double[] {7, infinity}).error());
    assertEquals(0, Compare.norm("t", actual, new double[] {infinity, 2}).error());
    float[] nan = {Float.NaN};
    assertEquals(0, Compare.norm("t", nan, new double[] {Double.NaN}).error());
    assertEquals(0, Compare.absolute("t", nan, new double[] {Double.NaN}).error());
    assertEquals(false, Compare.absolute("t", nan, new double[] {1}).passed());
    assertEquals(false, Compare.norm("t", nan, new double[] {1}).passed());
  }
}
