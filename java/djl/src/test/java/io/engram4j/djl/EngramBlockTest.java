package io.engram4j.djl;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.nn.Block;
import ai.djl.training.ParameterStore;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.tck.ByteTokenizer;
import io.engram4j.tck.Golden;
import io.engram4j.tck.RandomModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The block over real arrays of PyTorch. */
final class EngramBlockTest {
  private static final int HIDDEN = 64;

  @TempDir Path directory;
  private EngramModel engram;
  private final NDManager manager = NDManager.newBaseManager("PyTorch");

  @BeforeEach
  void open() throws IOException {
    engram = open(2);
  }

  private EngramModel open(int branches) throws IOException {
    Path path = Files.createTempDirectory(directory, "engram");
    RandomModel.small(HIDDEN, branches, List.of(1, 3)).write(path, bytes -> {});
    ByteTokenizer.write(path);
    return EngramDirectory.open(path);
  }

  @AfterEach
  void close() {
    engram.close();
    manager.close();
  }

  private static int[] ids(int count, long seed) {
    return new SplittableRandom(seed).ints(count, 3, ByteTokenizer.SIZE).toArray();
  }

  private static float[] floats(int count) {
    SplittableRandom random = new SplittableRandom(5);
    float[] made = new float[count];
    for (int i = 0; i < count; i++) {
      made[i] = (float) random.nextGaussian();
    }
    return made;
  }

  private static NDArray run(Block block, NDManager manager, NDArray ids, NDArray hidden) {
    return block
        .forward(new ParameterStore(manager, false), new NDList(ids, hidden), false)
        .singletonOrThrow();
  }

  @Test
  void doesWhatTheLayerDoes() {
    int length = 9;
    int[] all = ids(2 * length, 1);
    float[] hidden = floats(2 * length * 2 * HIDDEN);
    EngramBlock block = new EngramBlock(engram, 3);
    NDArray in = manager.create(hidden, new Shape(2, length, 2, HIDDEN));
    NDArray out = run(block, manager, manager.create(all, new Shape(2, length)), in);
    assertEquals(in.getShape(), out.getShape());
    float[] expected = hidden.clone();
    for (int row = 0; row < 2; row++) {
      EngramSequence sequence = engram.newSequence();
      sequence.append(all, row * length, length);
      float[] own =
          Arrays.copyOfRange(expected, row * length * 2 * HIDDEN, (row + 1) * length * 2 * HIDDEN);
      engram.layer(3).apply(sequence, length, own);
      System.arraycopy(own, 0, expected, row * own.length, own.length);
    }
    assertArrayEquals(expected, out.toFloatArray());
    assertArrayEquals(hidden, in.toFloatArray()); // the input stays
    assertFalse(Arrays.equals(hidden, expected));
  }

  @Test
  void lastTokensAloneAreTheSame() {
    int length = 12;
    long[] all = Arrays.stream(ids(length, 2)).asLongStream().toArray();
    NDArray hidden = manager.create(floats(length * 2 * HIDDEN), new Shape(1, length, 2, HIDDEN));
    EngramBlock block = new EngramBlock(engram, 1);
    NDArray ids = manager.create(all, new Shape(1, length));
    float[] whole = run(block, manager, ids, hidden).toFloatArray();
    for (int tokens = 1; tokens < length; tokens++) {
      NDArray last = hidden.get(":, " + (length - tokens) + ":");
      float[] part = run(block, manager, ids, last).toFloatArray();
      assertArrayEquals(
          Arrays.copyOfRange(whole, (length - tokens) * 2 * HIDDEN, whole.length), part);
    }
  }

  @Test
  void halvesAreRoundedOnce() {
    NDArray ids = manager.create(ids(5, 3), new Shape(1, 5));
    NDArray hidden = manager.create(floats(5 * 2 * HIDDEN), new Shape(1, 5, 2, HIDDEN));
    EngramBlock block = new EngramBlock(engram, 1);
    NDArray narrow = hidden.toType(DataType.FLOAT16, true);
    NDArray out = run(block, manager, ids, narrow);
    assertEquals(DataType.FLOAT16, out.getDataType());
    NDArray exact = run(block, manager, ids, narrow.toType(DataType.FLOAT32, true));
    NDArray rounded = exact.toType(DataType.FLOAT16, true);
    assertArrayEquals(
        rounded.toType(DataType.FLOAT32, true).toFloatArray(),
        out.toType(DataType.FLOAT32, true).toFloatArray());
  }

  @Test
  void lastTokensOfSeveralRows() {
    int length = 11;
    NDArray ids = manager.create(ids(3 * length, 8), new Shape(3, length));
    NDArray hidden =
        manager.create(floats(3 * length * 2 * HIDDEN), new Shape(3, length, 2, HIDDEN));
    EngramBlock block = new EngramBlock(engram, 3);
    NDArray whole = run(block, manager, ids, hidden);
    for (int tokens : new int[] {1, 2, 5}) {
      String last = ":, " + (length - tokens) + ":";
      NDArray part = run(block, manager, ids, hidden.get(last));
      assertArrayEquals(whole.get(last).toFloatArray(), part.toFloatArray());
    }
  }

  /** The paper's form, with its convolution, from the golden files. */
  @Test
  void convolutionsSeeTheWholeSequence() throws IOException {
    Golden.extract(directory.resolve("golden"));
    try (EngramModel paper = EngramDirectory.open(directory.resolve("golden/mini-paper"))) {
      int length = 14;
      int branches = paper.config().branches();
      int size = paper.config().hiddenSize();
      int[] all = new SplittableRandom(1).ints(2L * length, 0, paper.map().size()).toArray();
      float[] hidden = floats(2 * length * branches * size);
      EngramBlock block = new EngramBlock(paper, 1);
      NDArray ids = manager.create(all, new Shape(2, length));
      NDArray in = manager.create(hidden, new Shape(2, length, branches, size));
      float[] expected = hidden.clone();
      for (int row = 0; row < 2; row++) {
        EngramSequence sequence = paper.newSequence();
        sequence.append(all, row * length, length);
        int from = row * length * branches * size;
        float[] own = Arrays.copyOfRange(expected, from, from + length * branches * size);
        paper.layer(1).apply(sequence, length, own);
        System.arraycopy(own, 0, expected, from, own.length);
      }
      assertArrayEquals(expected, run(block, manager, ids, in).toFloatArray());
      NDArray last = in.get(":, 5:");
      assertThrows(IllegalArgumentException.class, () -> run(block, manager, ids, last));
    }
  }

  @Test
  void shapesAreChecked() {
    EngramBlock block = new EngramBlock(engram, 1);
    Shape ids = new Shape(1, 4);
    assertArrayEquals(
        new Shape[] {new Shape(1, 4, 2, HIDDEN)},
        block.getOutputShapes(new Shape[] {ids, new Shape(1, 4, 2, HIDDEN)}));
    for (Shape wrong :
        List.of(
            new Shape(1, 4, 3, HIDDEN),
            new Shape(1, 4, 2, HIDDEN + 1),
            new Shape(1, 4, HIDDEN),
            new Shape(2, 4, 2, HIDDEN),
            new Shape(1, 5, 2, HIDDEN))) {
      assertThrows(
          IllegalArgumentException.class,
          () -> block.getOutputShapes(new Shape[] {ids, wrong}),
          wrong.toString());
    }
    assertThrows(IllegalArgumentException.class, () -> block.getOutputShapes(new Shape[] {ids}));
    NDArray half = manager.ones(new Shape(1, 4, 2, HIDDEN), DataType.FLOAT64);
    NDArray four = manager.create(ids(4, 1), ids);
    IllegalArgumentException refused =
        assertThrows(IllegalArgumentException.class, () -> run(block, manager, four, half));
    assertTrue(String.valueOf(refused.getMessage()).contains("float64"));
    NDArray states = manager.ones(new Shape(1, 4, 2, HIDDEN));
    NDArray fractions = four.toType(DataType.FLOAT32, true);
    assertThrows(IllegalArgumentException.class, () -> run(block, manager, fractions, states));
    NDArray large = manager.create(new long[] {5, 6, 7, (1L << 32) + 5}, ids);
    assertThrows(ArithmeticException.class, () -> run(block, manager, large, states));
    NDList inputs = new NDList(four, manager.ones(new Shape(1, 4, 2, HIDDEN)));
    assertThrows(
        UnsupportedOperationException.class,
        () -> block.forward(new ParameterStore(manager, false), inputs, true));
    assertThrows(java.util.NoSuchElementException.class, () -> new EngramBlock(engram, 2));
  }
}
