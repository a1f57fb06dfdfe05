package io.engram4j.tck;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.Backends;
import io.engram4j.EngramRows;
import io.engram4j.format.Bfloat16;
import io.engram4j.format.E4m3;
import io.engram4j.hf.EngramModels;
import io.engram4j.model.Dtype;
import io.engram4j.table.Placement;
import io.engram4j.table.RowType;
import io.engram4j.table.TableOptions;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Tables that others have converted, to 4-bit floats and to affine 4 bits, against their formulas.
 */
class ConvertedTablesTest {
  private static final float[] E2M1 = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
  private static final int ROWS = 40;

  @TempDir Path directory;

  private final SplittableRandom random = new SplittableRandom(8);
  private final Map<String, String> headers = new LinkedHashMap<>();
  private final ByteArrayOutputStream data = new ByteArrayOutputStream();

  private byte[] bytes(int count) {
    byte[] bytes = new byte[count];
    random.nextBytes(bytes);
    return bytes;
  }

  /** Ordinary numbers. */
  private byte[] bf16(int count) {
    ByteBuffer bytes = ByteBuffer.wrap(new byte[2 * count]).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < count; i++) {
      bytes.putShort(2 * i, Bfloat16.fromFloat((float) random.nextGaussian() / 8));
    }
    return bytes.array();
  }

  private byte[] e4m3(int count) {
    byte[] bytes = bytes(count);
    for (int i = 0; i < count; i++) {
      bytes[i] = (bytes[i] & 0x7f) == 0x7f ? 0 : bytes[i];
    }
    return bytes;
  }

  private void tensor(String name, String dtype, String shape, byte[] bytes) {
    int at = data.size();
    data.writeBytes(bytes);
    headers.put(
        name,
        "\"%s\": {\"dtype\": \"%s\", \"shape\": %s, \"data_offsets\": [%d, %d]}"
            .formatted(name, dtype, shape, at, data.size()));
  }

  private void write() throws IOException {
    byte[] header =
        ("{" + String.join(", ", headers.values()) + "}").getBytes(StandardCharsets.UTF_8);
    ByteArrayOutputStream file = new ByteArrayOutputStream();
    byte[] length = new byte[8];
    ByteBuffer.wrap(length).order(ByteOrder.LITTLE_ENDIAN).putLong(0, header.length);
    file.writeBytes(length);
    file.writeBytes(header);
    file.writeBytes(data.toByteArray());
    Files.write(directory.resolve("model.safetensors"), file.toByteArray());
  }

  private static int nibble(byte[] codes, int index) {
    return (codes[index / 2] >> (4 * (index % 2))) & 15;
  }

  private static float bf16(byte[] values, int index) {
    return Bfloat16.toFloat(
        ByteBuffer.wrap(values).order(ByteOrder.LITTLE_ENDIAN).getShort(2 * index));
  }

  private void requireRows(int layer, RowType type, int width, List<float[]> expected)
      throws IOException {
    write();
    for (String backend : List.of("java", Backends.select().name())) {
      for (Placement placement :
          List.of(Placement.MAPPED, Placement.STREAMED, Placement.RESIDENT)) {
        TableOptions options = TableOptions.defaults().placement(placement);
        try (EngramRows rows = EngramModels.openRows(directory, Backends.named(backend), options)) {
          assertEquals(type, rows.type(layer));
          assertEquals(width, rows.width(layer));
          assertEquals(expected.size(), rows.rows(layer));
          long[] ids = new long[expected.size()];
          for (int i = 0; i < ids.length; i++) {
            ids[i] = ids.length - 1L - i;
          }
          float[] out = new float[ids.length * width];
          rows.gather(
              layer, MemorySegment.ofArray(ids), ids.length, MemorySegment.ofArray(out), Dtype.F32);
          for (int i = 0; i < out.length; i++) {
            float wanted = expected.get((int) ids[i / width])[i % width];
            assertEquals(wanted + 0f, out[i] + 0f, backend + " " + placement + " " + i);
          }
        }
      }
    }
  }

  /** ModelOpt's NVFP4, in two shards. */
  @Test
  void fourBitFloats() throws IOException {
    int width = 160;
    float whole = 0.0123f;
    List<float[]> expected = new ArrayList<>();
    for (int shard = 0; shard < 2; shard++) {
      String base =
          "model.language_model.layers.1.ple.ple_embedding.ngram_embedding.shard_" + shard;
      byte[] codes = bytes(ROWS / 2 * width / 2);
      byte[] scales = e4m3(ROWS / 2 * width / 16);
      byte[] factor = new byte[4];
      ByteBuffer.wrap(factor).order(ByteOrder.LITTLE_ENDIAN).putFloat(0, whole);
      tensor(base + ".weight", "U8", "[20, 80]", codes);
      tensor(base + ".weight_scale", "F8_E4M3", "[20, 10]", scales);
      tensor(base + ".weight_scale_2", "F32", "[]", factor);
      for (int row = 0; row < ROWS / 2; row++) {
        float[] values = new float[width];
        for (int k = 0; k < width; k++) {
          int code = nibble(codes, row * width + k);
          float value = code < 8 ? E2M1[code] : -E2M1[code - 8];
          float scale = E4m3.toFloat(scales[(row * width + k) / 16]);
          values[k] = Bfloat16.round(value * scale * whole);
        }
        expected.add(values);
      }
    }
    requireRows(1, RowType.F4_E2M1, width, expected);
  }

  private List<float[]> affine(String base, int width, int group, float factor) {
    byte[] codes = bytes(ROWS * width / 2);
    byte[] scales = bf16(ROWS * width / group);
    byte[] biases = bf16(ROWS * width / group);
    String groups = "[" + ROWS + ", " + width / group + "]";
    tensor(base + ".weight", "U32", "[" + ROWS + ", " + width / 8 + "]", codes);
    tensor(base + ".scales", "BF16", groups, scales);
    tensor(base + ".biases", "BF16", groups, biases);
    List<float[]> expected = new ArrayList<>();
    for (int row = 0; row < ROWS; row++) {
      float[] values = new float[width];
      for (int k = 0; k < width; k++) {
        int at = (row * width + k) / group;
        int code = nibble(codes, row * width + k);
        float value = Bfloat16.round(code * bf16(scales, at) + bf16(biases, at));
        values[k] = factor == 1 ? value : Bfloat16.round(value * factor);
      }
      expected.add(values);
    }
    return expected;
  }

  /** MLX's, of a V4.1 table. */
  @Test
  void affineBy64() throws IOException {
    requireRows(14, RowType.AFFINE4_64, 256, affine("layers.14.engram.embed", 256, 64, 1));
  }

  @Test
  void affineBy32() throws IOException {
    requireRows(1, RowType.AFFINE4_32, 256, affine("layers.1.engram.embed", 256, 32, 1));
  }

  /** Made of a checkpoint in fp8, whose one scale stays. */
  @Test
  void affineWithOneScaleMore() throws IOException {
    String table = "model.layers.2.ple.ple_embedding.ngram_embedding.";
    byte[] factor = new byte[2];
    short scale = Bfloat16.fromFloat(1.9931793e-4f);
    ByteBuffer.wrap(factor).order(ByteOrder.LITTLE_ENDIAN).putShort(0, scale);
    tensor(table + "weight_scale", "BF16", "[1]", factor);
    requireRows(
        2, RowType.AFFINE4_32, 160, affine(table + "shard_0", 160, 32, Bfloat16.toFloat(scale)));
  }

  @Test
  void whatIsMissingIsTold() throws IOException {
    tensor("layers.1.engram.embed.weight", "U32", "[40, 32]", bytes(ROWS * 128));
    tensor("layers.1.engram.embed.scales", "BF16", "[40, 4]", bf16(160));
    write();
    IOException e = assertThrows(IOException.class, () -> EngramModels.openRows(directory));
    assertTrue(String.valueOf(e.getMessage()).contains("embed.biases"), e.getMessage());
  }
}
