package io.engram4j.tck;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.SequenceSnapshot;
import io.engram4j.hf.EngramModels;
import io.engram4j.kernel.java.Bf16Backend;
import io.engram4j.kernel.java.JavaBackend;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.LayerLayout;
import io.engram4j.model.RowHashing;
import io.engram4j.model.TokenMap;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Qwen's PLE: row ids, and sequences that go on, are taken back, forked and restored. */
class PleSequenceTest {
  private static final int END = 983;

  @TempDir static Path golden;

  @BeforeAll
  static void extract() throws IOException {
    Golden.extract(golden);
  }

  private static int[] tokens(int count) {
    SplittableRandom random = new SplittableRandom(5);
    int[] ids = new int[count];
    for (int i = 0; i < count; i++) {
      ids[i] = random.nextInt(7) == 0 ? END : random.nextInt(1000);
    }
    return ids;
  }

  private static float[] apply(EngramModel model, EngramSequence sequence, int[] ids) {
    sequence.append(ids);
    float[] hidden = new float[ids.length * model.config().streamWidth()];
    int first = (sequence.length() - ids.length) * model.config().streamWidth();
    for (int i = 0; i < hidden.length; i++) {
      hidden[i] = (float) Math.sin(first + i); // the same at the same position
    }
    model.layers().getFirst().apply(sequence, ids.length, hidden);
    return hidden;
  }

  /** Whole or in pieces, taken back, forked, from a snapshot, through bytes: the same bits. */
  @Test
  void sequencesGoOnAsTheyMust() throws IOException {
    int[] ids = tokens(60);
    try (EngramModel model = EngramModels.read(golden.resolve("mini-ple")).open(new JavaBackend());
        EngramModel deep = model.withRollback(40)) {
      EngramSequence whole = deep.newSequence();
      apply(deep, whole, ids);
      float[] expected = apply(deep, whole, new int[] {5, END, 6});
      EngramSequence other = deep.newSequence();
      for (int from = 0; from < 60; ) {
        int some = Math.min(60 - from, 1 + from % 17);
        apply(deep, other, Arrays.copyOfRange(ids, from, from + some));
        from += some;
      }
      EngramSequence forked = other.fork();
      SequenceSnapshot snapshot = SequenceSnapshot.fromBytes(other.snapshot().toBytes());
      apply(deep, other, tokens(40));
      other.truncate(60);
      assertEquals(60, other.length());
      for (EngramSequence each : List.of(other, forked, deep.restore(snapshot))) {
        assertArrayEquals(apply(deep, each, new int[] {5, END, 6}), expected);
      }
    }
  }

  @Test
  void howFarASequenceCanBeTakenBackIsAnOption() throws IOException {
    try (EngramModel model = EngramModels.read(golden.resolve("mini-ple")).open(new JavaBackend());
        EngramModel shallow = model.withRollback(2);
        EngramModel none = model.withRollback(0)) {
      EngramSequence sequence = shallow.newSequence();
      apply(shallow, sequence, tokens(30));
      apply(shallow, sequence, tokens(20));
      IllegalStateException e =
          assertThrows(IllegalStateException.class, () -> sequence.truncate(40));
      assertTrue(String.valueOf(e.getMessage()).contains("can take back 2;"), e.getMessage());
      assertEquals(50, sequence.length());
      sequence.truncate(48);
      apply(shallow, sequence, tokens(1));
      EngramSequence once = none.newSequence();
      apply(none, once, tokens(30));
      assertThrows(IllegalStateException.class, () -> once.truncate(29));
      apply(none, once, tokens(1));
      assertThrows(IllegalArgumentException.class, () -> model.withRollback(-1));
      assertThrows(IllegalArgumentException.class, () -> model.withRollback(65_537));
    }
  }

  private static EngramModel shipped() {
    EngramConfig config =
        EngramConfig.builder()
            .hiddenSize(2560)
            .branches(4)
            .layerIds(List.of(1))
            .ngrams(3, 20_000_000)
            .heads(8, 160)
            .padTokenId(248_044)
            .barrierTokenId(OptionalInt.of(248_044))
            .seed(1234)
            .hashing(RowHashing.SPLITMIX64)
            .build();
    return EngramModel.hashOnly(config, TokenMap.identity(248_320), new JavaBackend());
  }

  private static long[] hash(EngramModel model, EngramSequence sequence, int from, int count) {
    long[] rows = new long[count * 16];
    model
        .layers()
        .getFirst()
        .hash(model.newBatch().add(sequence, from, count), MemorySegment.ofArray(rows));
    return rows;
  }

  /** Row ids that others recorded from the published checkpoint. */
  @Test
  void rowIdsAsPublished() throws NoSuchAlgorithmException {
    int[] ids = {9707, 11, 1879, 248_044, 314, 2001, 248_319, 0, 248_044, 248_044, 77};
    try (EngramModel model = shipped()) {
      EngramSequence sequence = model.newSequence();
      sequence.append(ids);
      long[] rows = hash(model, sequence, 0, ids.length);
      assertEquals(16_410_909, rows[0]);
      assertEquals(18_827_606, rows[16 * 3]); // an end of text sees what it ends
      assertEquals(8_260_854, rows[16 * 4]); // and what follows does not
      assertEquals(315_908_561, rows[16 * 10 + 15]);
      ByteBuffer bytes = ByteBuffer.allocate(8 * rows.length).order(ByteOrder.LITTLE_ENDIAN);
      bytes.asLongBuffer().put(rows);
      byte[] digest = MessageDigest.getInstance("SHA-256").digest(bytes.array());
      assertEquals(
          "c05ba54684f786b990b68fece6a105e4367ccbd41bdedaa18b4ecc302ee90977",
          HexFormat.of().formatHex(digest));
      EngramSequence other = model.newSequence();
      other.append(new int[] {123, 456, 789});
      assertEquals(2_491_316, hash(model, other, 2, 1)[0]);
      assertThrows(IndexOutOfBoundsException.class, () -> other.append(248_320));
      assertThrows(IndexOutOfBoundsException.class, () -> other.append(-1));
    }
  }

  /** Ends of text in every place, against the definition written down another way. */
  @Test
  void endsOfTextAnywhere() {
    long[] multipliers = {23703573157769L, 20109073645365L, 8052911324071L};
    SplittableRandom random = new SplittableRandom(9);
    try (EngramModel model = shipped()) {
      LayerLayout layout = model.layers().getFirst().layout();
      for (int turn = 0; turn < 200; turn++) {
        int[] ids = new int[random.nextInt(1, 12)];
        for (int i = 0; i < ids.length; i++) {
          ids[i] = random.nextBoolean() ? 248_044 : random.nextInt(248_320);
        }
        EngramSequence sequence = model.newSequence();
        sequence.append(ids);
        long[] rows = hash(model, sequence, 0, ids.length);
        for (int t = 0; t < ids.length; t++) {
          long mix = ids[t] * multipliers[0];
          boolean ended = false;
          for (int lag = 1; lag <= 2; lag++) {
            ended |= t - lag < 0 || ids[t - lag] == 248_044;
            mix ^= (ended ? 248_044 : ids[t - lag]) * multipliers[lag];
            for (int head = 0; head < 8; head++) {
              int column = 8 * (lag - 1) + head;
              long row = Math.floorMod(mix, layout.prime(column)) + layout.offset(column);
              assertEquals(row, rows[16 * t + column], Arrays.toString(ids));
            }
          }
        }
      }
    }
  }

  /** Only Qwen's engines round so. */
  @Test
  void roundedStagesAreOfThisFamily() throws IOException {
    try (EngramModel other =
        EngramModels.read(golden.resolve("mini-v41")).open(new JavaBackend())) {
      assertThrows(IllegalStateException.class, other::withBf16Stages);
    }
    assertTrue(new Bf16Backend(new JavaBackend()).description().contains("in bf16"));
  }
}
