package io.engram4j.memo;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.EngramBatch;
import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.LayerStatistics.MemoStatistics;
import io.engram4j.TestModels;
import io.engram4j.model.NgramSeed;
import io.engram4j.table.RowSet;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** N-grams are counted as a plain map counts them, and a memo begins with the most frequent. */
class NgramCounterTest {
  private final EngramModel model = TestModels.v41();
  private final int longest = model.config().maxNgram();

  @AfterEach
  void close() {
    model.close();
  }

  private static int[] text(int length, int words, long seed) {
    return new SplittableRandom(seed).ints(length, 0, words).map(i -> i * i / words).toArray();
  }

  private Map<List<Integer>, Integer> expected(List<int[]> texts) {
    int pad = model.map().get(model.config().padTokenId());
    Map<List<Integer>, Integer> counts = new HashMap<>();
    for (int[] text : texts) {
      for (int at = 0; at < text.length; at++) {
        for (int length = 2; length <= longest; length++) {
          List<Integer> ngram = new ArrayList<>();
          for (int i = 0; i < longest; i++) {
            int known = at - i < 0 ? pad : model.map().get(text[Math.max(0, at - i)]);
            ngram.add(i < length ? known : -1);
          }
          counts.merge(ngram, 1, Integer::sum);
        }
      }
    }
    return counts;
  }

  private static List<Integer> ngram(NgramSeed seed, int index) {
    List<Integer> ngram = new ArrayList<>();
    for (int i = 0; i < seed.maxNgram(); i++) {
      ngram.add(seed.id(index, i));
    }
    return ngram;
  }

  private NgramCounter counter(int mostPlaces) {
    return new NgramCounter(longest, model.map().distinct(), mostPlaces);
  }

  private void add(NgramCounter counter, int[] ids) {
    EngramSequence sequence = model.newSequence();
    sequence.append(ids);
    EngramBatch batch = model.newBatch().add(sequence, 0, ids.length);
    counter.add(batch.windows(), batch.mask(), ids.length);
  }

  @Test
  void countsEveryNgram() {
    List<int[]> texts = List.of(text(5000, 20, 1), text(1, 20, 2), text(0, 20, 3), text(300, 4, 4));
    Map<List<Integer>, Integer> expected = expected(texts);
    NgramCounter counter = counter(1 << 24);
    texts.forEach(text -> add(counter, text));
    assertEquals(expected.size(), counter.distinct());
    assertEquals(3L * 5301, counter.total());
    List<Integer> counts = new ArrayList<>(expected.values());
    counts.sort(Comparator.reverseOrder());
    for (int most : new int[] {0, 1, 100, counts.size(), Integer.MAX_VALUE}) {
      int some = Math.min(most, counts.size());
      assertEquals(
          counts.subList(0, some).stream().mapToLong(i -> i).sum(),
          counter.served(most),
          "" + most);
      NgramSeed seed = counter.seed(most);
      assertEquals(some, seed.size());
      for (int i = 0; i < some; i++) {
        assertEquals(counts.get(i), expected.get(ngram(seed, i)), "n-gram " + i);
      }
    }
  }

  /** With few places the frequent ones stay, and are counted from some point on at the latest. */
  @Test
  void rareOnesMakeRoom() {
    int[] rare = new SplittableRandom(5).ints(20_000, 0, 60).toArray();
    for (int i = 0; i + 40 < rare.length; i += 40) {
      Arrays.fill(rare, i, i + 8, 7); // the n-grams of 7 alone
    }
    Map<List<Integer>, Integer> expected = expected(List.of(rare));
    NgramCounter counter = counter(1024);
    add(counter, rare);
    assertTrue(counter.distinct() <= 512, "" + counter.distinct());
    NgramSeed seed = counter.seed(longest - 1);
    List<List<Integer>> found = new ArrayList<>();
    for (int i = 0; i < seed.size(); i++) {
      found.add(ngram(seed, i));
    }
    Comparator<Map.Entry<List<Integer>, Integer>> byCount = Map.Entry.comparingByValue();
    List<List<Integer>> wanted =
        expected.entrySet().stream()
            .sorted(byCount.reversed())
            .limit(longest - 1)
            .map(Map.Entry::getKey)
            .toList();
    assertEquals(wanted, found);
  }

  @Test
  void deadTokensHaveNone() {
    int image = model.config().imageTokenId().orElseThrow();
    NgramCounter counter = counter(1 << 24);
    add(counter, new int[] {5, 6, image, image, 7});
    assertEquals(3L * (longest - 1), counter.total());
  }

  private static MemoStatistics memo(EngramModel view, int layer) {
    return view.statistics().get(layer).memo();
  }

  private static float[] run(EngramModel view, int[] ids) {
    EngramSequence sequence = view.newSequence();
    sequence.append(ids);
    float[] hidden = new float[ids.length * view.config().streamWidth()];
    for (int i = 0; i < hidden.length; i++) {
      hidden[i] = (i % 113 - 56) / 16f;
    }
    view.layers().forEach(layer -> layer.apply(sequence, ids.length, hidden));
    return hidden;
  }

  private long entry() {
    return 4L * model.layers().getFirst().weights().projection().outputs() + 100;
  }

  /** What a seed has is not projected again, by any layer, and gives the same to the bit. */
  @Test
  void seedsAMemo(@TempDir Path directory) throws IOException {
    int[] ids = text(400, 30, 6);
    NgramCounter counter = counter(1 << 24);
    add(counter, ids);
    Path file = directory.resolve("hot.ngrams");
    counter.seed(Integer.MAX_VALUE).save(file);
    NgramSeed seed = NgramSeed.load(file);
    int layers = model.layers().size();
    EngramModel view = model.withMemo(20_000 * entry() * layers);
    AtomicLong done = new AtomicLong();
    view.remember(seed, done::addAndGet);
    assertEquals(seed.size(), done.get());
    for (int layer = 0; layer < layers; layer++) {
      assertEquals(0, memo(view, layer).misses());
      assertEquals(seed.size() * 4L * model.config().kvWidth(), memo(view, layer).bytes(), "bytes");
    }
    assertArrayEquals(run(model.withMemo(20_000 * entry() * layers), ids), run(view, ids));
    for (int layer = 0; layer < layers; layer++) {
      assertEquals(0, memo(view, layer).misses(), "n-grams projected again");
      assertEquals(3L * 400, memo(view, layer).hits());
    }
    view.remember(seed, n -> {}); // once more: all are there
    assertEquals(0, memo(view, 0).evictions());
  }

  /** A seed that is larger than the memo fills it with its first n-grams and pushes none out. */
  @Test
  void theMostFrequentComeFirst() {
    int[] ids = text(3000, 40, 7);
    NgramCounter counter = counter(1 << 24);
    add(counter, ids);
    EngramModel view = model.withMemo(80 * entry() * model.layers().size());
    NgramSeed seed = counter.seed(Integer.MAX_VALUE);
    view.remember(seed, n -> {});
    MemoStatistics full = memo(view, 0);
    assertEquals(full.mostBytes(), full.bytes());
    assertEquals(0, full.evictions());
    EngramModel other = model.withMemo(80 * entry() * model.layers().size());
    other.remember(counter.seed(60), n -> {}); // fewer than there is room for
    long first = memo(other, 0).bytes();
    other.remember(seed, n -> {});
    assertTrue(first > memo(other, 0).mostBytes() / 2 && first <= memo(other, 0).bytes());
    assertArrayEquals(run(view, ids), run(other, ids));
    MemoStatistics after = memo(view, 0);
    double share = counter.served(80) / (double) counter.total();
    double known = after.hits() / (double) (after.hits() + after.misses());
    assertTrue(known > 0.7 * share, known + " are known, a perfect memo would know " + share);
  }

  @Test
  void replacedRowsAreNotRemembered() {
    int[] ids = {1, 2, 3, 4, 5, 6};
    NgramCounter counter = counter(1 << 24);
    add(counter, ids);
    EngramLayer layer = model.layers().getFirst();
    EngramSequence sequence = model.newSequence();
    sequence.append(ids);
    MemorySegment rowIds = Arena.ofAuto().allocate(8L * layer.layout().columns());
    layer.hash(model.newBatch().add(sequence, 5, 1), rowIds);
    long row = rowIds.getAtIndex(java.lang.foreign.ValueLayout.JAVA_LONG, 0);
    float[] values = new float[model.config().headDim()];
    Arrays.fill(values, 2);
    model.overlay().put(new RowSet("fact", List.of(new RowSet.Row(layer.id(), row, values))));
    EngramModel view = model.withMemo(1000 * entry() * model.layers().size());
    view.remember(counter.seed(100), n -> {});
    assertEquals(memo(view, 1).bytes() - 4L * model.config().kvWidth(), memo(view, 0).bytes());
    model.overlay().remove("fact");
  }

  @Test
  void refusesWhatDoesNotFit(@TempDir Path directory) throws IOException {
    NgramCounter counter = counter(1 << 24);
    add(counter, new int[] {1, 2, 3});
    NgramSeed seed = counter.seed(10);
    assertThrows(IllegalStateException.class, () -> model.remember(seed, n -> {}));
    EngramModel view = model.withMemo(100 * entry() * model.layers().size());
    int distinct = model.map().distinct();
    for (NgramSeed wrong :
        List.of(
            new NgramSeed(longest + 1, distinct, new int[longest + 1]),
            new NgramSeed(longest, distinct - 1, new int[longest]))) {
      String message =
          assertThrows(IllegalArgumentException.class, () -> view.remember(wrong, n -> {}))
              .getMessage();
      assertTrue(String.valueOf(message).contains("of the seed is"), message);
    }
    int[][] bad = {{1}, {1, -1, -1}, {-1, 1, 1}, {1, 2, -2}, {1, 1, distinct}, {1, -1, 1}};
    for (int[] ids : bad) {
      assertThrows(
          IllegalArgumentException.class,
          () -> new NgramSeed(3, distinct, ids),
          Arrays.toString(ids));
    }
    assertThrows(IllegalArgumentException.class, () -> new NgramSeed(1, distinct, new int[0]));
    Path file = directory.resolve("seed");
    seed.save(file);
    byte[] bytes = Files.readAllBytes(file);
    for (int i = 0; i < bytes.length; i++) {
      byte[] cut = Arrays.copyOf(bytes, i);
      Files.write(file, cut);
      assertThrows(IOException.class, () -> NgramSeed.load(file), "cut at " + i);
      byte[] flipped = bytes.clone();
      flipped[i] ^= 4;
      Files.write(file, flipped);
      assertThrows(IOException.class, () -> NgramSeed.load(file), "flipped at " + i);
    }
  }
}
