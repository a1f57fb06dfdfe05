package io.engram4j;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.engram4j.kernel.java.JavaBackend;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import org.junit.jupiter.api.Test;

/** The digests that a third party recorded from DeepSeek's own code (docs/spec.md, section 5). */
class HashDigestTest {
  private static final int COLUMNS = 24;

  private static long[][] rowIds() {
    EngramModel model =
        EngramModel.hashOnly(TestModels.v41Flash(), TestModels.v41SizedMap(), new JavaBackend());
    EngramSequence sequence = model.newSequence();
    sequence.append(new int[] {0, 3});
    EngramBatch batch = model.newBatch().add(sequence, 0, 2);
    long[][] ids = new long[2][2 * COLUMNS];
    for (int layer = 0; layer < 2; layer++) {
      model.layers().get(layer).hash(batch, MemorySegment.ofArray(ids[layer]));
    }
    return ids;
  }

  private static String digest(long... ids) throws NoSuchAlgorithmException {
    ByteBuffer bytes = ByteBuffer.allocate(8 * ids.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asLongBuffer().put(ids);
    return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes.array()));
  }

  @Test
  void threeDigests() throws NoSuchAlgorithmException {
    long[][] ids = rowIds();
    assertEquals(
        "8e0187ea859a7db65517a540eb5210457ec907fd0b2f44042d830366cbedbda5", digest(ids[0]));
    assertEquals(
        "33e046238287e6e8b7c3466bdb4b7b47182ad19f9115afac8a1983ede219ba80", digest(ids[1]));
    long[] all = new long[4 * COLUMNS]; // [position, layer, column]
    for (int position = 0; position < 2; position++) {
      for (int layer = 0; layer < 2; layer++) {
        System.arraycopy(
            ids[layer], position * COLUMNS, all, (2 * position + layer) * COLUMNS, COLUMNS);
      }
    }
    assertEquals("f5a64799492bea90bc6d87f0cb8a67bb983441e1cd9c12ec2e7b8df6cbcfee1d", digest(all));
  }

  @Test
  void firstIds() {
    long[][] ids = rowIds();
    assertArrayEquals(
        new long[] {5702652, 24393184, 39183301}, new long[] {ids[0][0], ids[0][1], ids[0][2]});
    assertEquals(7976312, ids[1][COLUMNS]);
    assertEquals(379703671, ids[1][2 * COLUMNS - 1]);
  }
}
