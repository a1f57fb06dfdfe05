package io.engram4j;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.engram4j.run.Step;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/**
 * Row ids and updated streams do not depend on how a sequence came about: random appends, drafts
 * taken back, forks and snapshots against a computation from scratch by another formula.
 */
class SequencePropertyTest {
  private static final int RUNS = 2_000;
  private static final int DEAD_TOKEN = 99; // the model's image token

  /** The rule of the docs/spec.md, section 5, from the whole list of tokens at one position. */
  private static long[] oracle(EngramModel model, EngramLayer layer, List<Integer> ids, int at) {
    int maxNgram = model.config().maxNgram();
    int pad = model.map().get(model.config().padTokenId());
    long[] c = new long[maxNgram];
    for (int shift = 0; shift < maxNgram; shift++) {
      boolean blocked = at - shift < 0;
      for (int back = 0; back <= shift && !blocked; back++) {
        blocked = ids.get(at - back) == DEAD_TOKEN;
      }
      c[shift] = blocked ? pad : model.map().get(ids.get(at - shift));
    }
    long[] rows = new long[layer.layout().columns()];
    for (int column = 0; column < rows.length; column++) {
      long roll = 0;
      for (int shift = 0; shift < layer.layout().order(column); shift++) {
        roll ^= c[shift] * layer.layout().multiplier(shift);
      }
      rows[column] =
          Math.floorMod(roll, layer.layout().prime(column)) + layer.layout().offset(column);
    }
    return rows;
  }

  /** A sequence beside the plain list of its tokens. */
  private record Pair(EngramSequence sequence, List<Integer> ids) {}

  @Test
  void rowIdsDependOnTheTokensAlone() throws IOException {
    EngramModel model = TestModels.v41();
    long seed = System.nanoTime();
    System.out.println("sequences: seed " + seed + ", " + RUNS + " runs");
    Random random = new Random(seed);
    long checked = 0;
    for (int run = 0; run < RUNS; run++) {
      List<Pair> pairs = new ArrayList<>();
      pairs.add(new Pair(model.newSequence(), new ArrayList<>()));
      for (int step = 0; step < 12; step++) {
        int which = random.nextInt(pairs.size());
        pairs.set(which, change(model, pairs, pairs.get(which), random));
      }
      checked += check(model, pairs, random, seed);
    }
    Path counts = Files.createDirectories(Path.of("target", "case-counts"));
    Files.writeString(
        counts.resolve("sequences.txt"), "row ids of random sequences checked: " + checked + "\n");
  }

  private static Pair change(EngramModel model, List<Pair> all, Pair pair, Random random) {
    EngramSequence sequence = pair.sequence();
    List<Integer> ids = pair.ids();
    switch (random.nextInt(6)) {
      case 0 -> {
        int id = random.nextInt(100);
        sequence.append(id);
        ids.add(id);
      }
      case 1, 2 -> {
        int[] chunk = random.ints(random.nextInt(40), 0, 100).toArray();
        sequence.append(chunk);
        for (int id : chunk) {
          ids.add(id);
        }
      }
      case 3 -> {
        int length = ids.size() - random.nextInt(Math.min(5, ids.size()) + 1);
        if (Math.max(0, length - 3) >= knownFrom(sequence)) {
          sequence.truncate(length);
          ids.subList(length, ids.size()).clear();
        }
      }
      case 4 -> all.add(new Pair(sequence.fork(), new ArrayList<>(ids)));
      default -> {
        SequenceSnapshot snapshot = sequence.snapshot();
        return new Pair(
            model.restore(SequenceSnapshot.of(snapshot.length(), snapshot.lastIds())), ids);
      }
    }
    return pair;
  }

  /** The first position whose token the sequence still knows. */
  private static int knownFrom(EngramSequence sequence) {
    int from = sequence.length();
    while (from > 0) {
      try {
        sequence.compressedId(from - 1);
      } catch (IndexOutOfBoundsException e) {
        break;
      }
      from--;
    }
    return from;
  }

  private static long check(EngramModel model, List<Pair> pairs, Random random, long seed) {
    EngramBatch batch = model.newBatch();
    List<long[]> expected = new ArrayList<>();
    EngramLayer layer = model.layers().get(random.nextInt(2));
    for (Pair pair : pairs) {
      int known = knownFrom(pair.sequence());
      int first = known == 0 ? 0 : Math.min(pair.ids().size(), known + 3);
      int from = first + random.nextInt(pair.ids().size() - first + 1);
      int count = random.nextInt(pair.ids().size() - from + 1);
      batch.add(pair.sequence(), from, count);
      for (int at = from; at < from + count; at++) {
        expected.add(oracle(model, layer, pair.ids(), at));
      }
    }
    assertEquals(expected.size(), batch.tokens());
    int columns = layer.layout().columns();
    long[] actual = new long[batch.tokens() * columns];
    layer.hash(batch, MemorySegment.ofArray(actual));
    for (int token = 0; token < expected.size(); token++) {
      long[] row = java.util.Arrays.copyOfRange(actual, token * columns, (token + 1) * columns);
      assertArrayEquals(expected.get(token), row, "token " + token + ", seed " + seed);
    }
    return actual.length;
  }

  @Test
  void streamsDependOnTheTokensAlone() {
    for (EngramModel model : List.of(TestModels.v41(), TestModels.paper())) {
      Random random = new Random(7);
      int width = model.config().streamWidth();
      for (int run = 0; run < 60; run++) {
        int tokens = 1 + random.nextInt(2 * Step.BLOCK + 20);
        int[] ids = random.ints(tokens, 0, 100).toArray();
        float[] hidden = TestModels.gaussians(tokens * width, random);
        float[] whole = hidden.clone();
        EngramSequence sequence = model.newSequence();
        sequence.append(ids);
        model.layers().getLast().apply(sequence, tokens, whole);
        assertArrayEquals(whole, inPieces(model, ids, hidden, random), "run " + run);
      }
    }
  }

  /** The same tokens in random chunks, with drafts that are applied and then taken back. */
  private static float[] inPieces(EngramModel model, int[] ids, float[] hidden, Random random) {
    int width = model.config().streamWidth();
    EngramLayer layer = model.layers().getLast();
    EngramSequence sequence = model.newSequence();
    if (layer != model.layers().getFirst()) {
      sequence = sequence.fork();
    }
    float[] out = new float[hidden.length];
    int at = 0;
    while (at < ids.length) {
      int drafts = random.nextInt(9);
      sequence.append(random.ints(drafts, 0, 100).toArray());
      layer.apply(sequence, drafts, TestModels.gaussians(drafts * width, random));
      sequence.truncate(at);
      int count =
          Math.min(
              ids.length - at, random.nextInt(5) == 0 ? 1 + random.nextInt(Step.BLOCK + 20) : 1);
      sequence.append(ids, at, count);
      float[] chunk = java.util.Arrays.copyOfRange(hidden, at * width, (at + count) * width);
      layer.apply(sequence, count, chunk);
      System.arraycopy(chunk, 0, out, at * width, chunk.length);
      at += count;
    }
    return out;
  }

  @Test
  void manySequencesInOneCallEqualEachAlone() {
    for (EngramModel model : List.of(TestModels.v41(), TestModels.paper())) {
      Random random = new Random(3);
      int width = model.config().streamWidth();
      EngramLayer layer = model.layers().getFirst();
      EngramBatch together = model.newBatch();
      List<float[]> alone = new ArrayList<>();
      List<float[]> inputs = new ArrayList<>();
      for (int i = 0; i < 40; i++) {
        int[] ids = random.ints(random.nextInt(12), 0, 100).toArray();
        float[] hidden = TestModels.gaussians(ids.length * width, random);
        EngramSequence first = model.newSequence();
        first.append(ids);
        together.add(first.fork(), 0, ids.length);
        inputs.add(hidden);
        float[] own = hidden.clone();
        layer.apply(first, ids.length, own);
        alone.add(own);
      }
      float[] all = concatenate(inputs);
      layer.apply(
          together,
          io.engram4j.model.HiddenStream.of(
              all, model.config().branches(), model.config().hiddenSize()));
      assertArrayEquals(concatenate(alone), all);
    }
  }

  private static float[] concatenate(List<float[]> parts) {
    float[] all = new float[parts.stream().mapToInt(part -> part.length).sum()];
    int at = 0;
    for (float[] part : parts) {
      System.arraycopy(part, 0, all, at, part.length);
      at += part.length;
    }
    return all;
  }
}
