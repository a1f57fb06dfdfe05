package io.engram4j;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.LayerStatistics.MemoStatistics;
import io.engram4j.kernel.Backend;
import io.engram4j.kernel.java.JavaBackend;
import io.engram4j.model.LayerLayout;
import io.engram4j.run.Step;
import io.engram4j.table.RowSet;
import io.engram4j.table.Table;
import io.engram4j.weights.ConvWeights;
import io.engram4j.weights.GateWeights;
import io.engram4j.weights.Projection;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Remembered projections give what projecting anew gives, however little room there is. */
class ProjectMemoTest {
  private static final int MANY = Step.BLOCK + 6; // more than go together

  private final EngramModel model = TestModels.v41();

  @AfterEach
  void close() {
    model.close();
  }

  /** Ids of a text that repeats itself. */
  private int[] text(int length, int words, long seed) {
    return new SplittableRandom(seed).ints(length, 0, words).toArray();
  }

  /** A text that was remembered is known when it comes, and gives the same. */
  @Test
  void canBeSeeded() {
    int[] ids = text(150, 90, 3);
    float[] expected = run(model.withMemo(1 << 22), ids, 7);
    EngramModel view = model.withMemo(1 << 22);
    view.remember(ids);
    List<MemoStatistics> before = view.statistics().stream().map(s -> s.memo()).toList();
    assertArrayEquals(expected, run(view, ids, 7));
    for (int i = 0; i < before.size(); i++) {
      MemoStatistics after = view.statistics().get(i).memo();
      assertEquals(before.get(i).misses(), after.misses(), "n-grams projected again");
      assertTrue(after.hits() > before.get(i).hits());
    }
    String message =
        assertThrows(IllegalStateException.class, () -> model.remember(ids)).getMessage();
    assertTrue(String.valueOf(message).contains("withMemo"), message);
  }

  private static float[] run(EngramModel view, int[] ids, int step) {
    SplittableRandom random = new SplittableRandom(8);
    int width = view.config().streamWidth();
    EngramSequence sequence = view.newSequence();
    float[] all = new float[ids.length * width];
    EngramBatch batch = view.newBatch();
    for (int from = 0; from < ids.length; from += step) {
      int count = Math.min(step, ids.length - from);
      sequence.append(java.util.Arrays.copyOfRange(ids, from, from + count));
      float[] hidden = new float[count * width];
      for (int i = 0; i < hidden.length; i++) {
        hidden[i] = (float) random.nextGaussian();
      }
      batch.clear().add(sequence, from, count);
      for (EngramLayer layer : view.layers()) {
        layer.apply(batch, hidden);
      }
      System.arraycopy(hidden, 0, all, from * width, hidden.length);
    }
    return all;
  }

  private static void close(float[] expected, float[] actual) {
    double size = 0;
    double off = 0;
    for (int i = 0; i < expected.length; i++) {
      size += (double) expected[i] * expected[i];
      off += Math.pow((double) expected[i] - actual[i], 2);
    }
    assertTrue(Math.sqrt(off) <= 2e-6 * Math.sqrt(size), Math.sqrt(off / size) + " off");
  }

  private long entry() {
    return 4L * model.layers().getFirst().weights().projection().outputs() + 100;
  }

  @Test
  void rememberedIsTheSameAsAnew() {
    int[] ids = text(400, 7, 1);
    float[] plain = run(model, ids, MANY);
    for (int entries : new int[] {8, 40, 5000}) {
      EngramModel view = model.withMemo(entries * entry() * model.layers().size());
      float[] first = run(view, ids, MANY);
      close(plain, first);
      // whatever is remembered by now, bits stay
      assertArrayEquals(first, run(view, ids, MANY), entries + " entries");
      assertArrayEquals(first, run(view, ids, 1), "one by one");
      MemoStatistics all = view.statistics().getFirst().memo();
      assertEquals(3L * 400 * (model.config().maxNgram() - 1), all.hits() + all.misses());
      assertTrue(all.bytes() <= all.mostBytes() && all.bytes() > 0, all.toString());
      assertEquals(entries < 5000, all.evictions() > 0, all.toString());
      if (entries == 5000) {
        assertTrue(all.misses() < 7 + 49 + 343 + 2401 && all.hits() > 2000, all.toString());
      }
    }
    assertEquals(MemoStatistics.NONE, model.statistics().getFirst().memo());
    assertThrows(IllegalArgumentException.class, () -> model.withMemo(100));
    assertThrows(IllegalArgumentException.class, () -> model.withMemo(1));
  }

  /** Outputs of more than a slice, with a rest, and of several parts; on one thread and on more. */
  @Test
  void allSlicesAreProjected() {
    var config = TestModels.v41(416, 4, List.of(1), 3, List.of(50L, 50L), 2, 16);
    try (EngramModel wide = TestModels.model(config);
        EngramModel parts = TestModels.paper();
        var pool = Executors.newFixedThreadPool(3)) {
      assertEquals(2080, wide.layers().getFirst().weights().projection().outputs());
      int[] ids = text(300, 6, 1);
      for (EngramModel each : List.of(wide, parts)) {
        float[] plain = run(each, ids, MANY);
        EngramModel view = each.withMemo(1 << 23);
        float[] first = run(view, ids, MANY);
        close(plain, first);
        assertArrayEquals(first, run(view, ids, 1), "one by one");
        EngramModel threads = each.withMemo(1 << 23).withExecutor(pool, 3);
        assertArrayEquals(first, run(threads, ids, MANY), "on three threads");
        assertArrayEquals(first, run(threads, ids, 1), "on three threads, one by one");
        MemoStatistics all = threads.statistics().getFirst().memo();
        assertTrue(all.hits() > all.misses() && all.misses() > 0, all.toString());
      }
    }
  }

  @Test
  void replacedRowsAreProjectedAnew() {
    int[] ids = text(60, 5, 2);
    EngramModel view = model.withMemo(500 * entry() * model.layers().size());
    float[] before = run(view, ids, 60);
    EngramLayer layer = model.layers().getFirst();
    EngramSequence sequence = model.newSequence();
    sequence.append(ids);
    MemorySegment rowIds = Arena.ofAuto().allocate(8L * layer.layout().columns() * ids.length);
    layer.hash(model.newBatch().add(sequence, 0, ids.length), rowIds);
    long row = rowIds.getAtIndex(java.lang.foreign.ValueLayout.JAVA_LONG, 30L * 3);
    float[] values = new float[model.config().headDim()];
    java.util.Arrays.fill(values, 3);
    model.overlay().put(new RowSet("fact", List.of(new RowSet.Row(layer.id(), row, values))));
    float[] during = run(view, ids, 60);
    close(run(model, ids, 60), during);
    assertTrue(!java.util.Arrays.equals(before, during), "the row matters");
    model.overlay().remove("fact");
    assertArrayEquals(before, run(view, ids, 60));
  }

  @Test
  void threadsShareIt() throws InterruptedException {
    EngramModel view = model.withMemo(64 * entry() * model.layers().size());
    List<int[]> texts = new ArrayList<>();
    List<float[]> expected = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      texts.add(text(200, 6, i));
      expected.add(run(view, texts.get(i), 50));
    }
    AtomicReference<Throwable> failed = new AtomicReference<>();
    List<Thread> threads = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      int own = i;
      threads.add(
          Thread.ofPlatform()
              .start(() -> {
                try {
                  for (int round = 0; round < 5; round++) {
                    assertArrayEquals(expected.get(own), run(view, texts.get(own), 50));
                  }
                } catch (Throwable e) {
                  failed.set(e);
                }
              }));
    }
    for (Thread thread : threads) {
      thread.join();
    }
    assertEquals(null, failed.get());
  }

  /** Plain Java whose projections fail for as long as they are told to. */
  private static final class Failing implements Backend {
    private final Backend java = new JavaBackend();
    private boolean fails;

    @Override
    public String name() {
      return "failing";
    }

    @Override
    public String description() {
      return "fails when told to";
    }

    @Override
    public Hash hash(LayerLayout layout, Arena arena) {
      return java.hash(layout, arena);
    }

    @Override
    public Gather gather(Table table, Arena arena) {
      return java.gather(table, arena);
    }

    @Override
    public Project project(Projection projection, Arena arena) {
      Project kernel = java.project(projection, arena);
      return (rows, tokens, first, count, kv) -> {
        if (fails) {
          throw new IllegalStateException("told to fail");
        }
        kernel.run(rows, tokens, first, count, kv);
      };
    }

    @Override
    public Gate gate(GateWeights weights, Arena arena) {
      return java.gate(weights, arena);
    }

    @Override
    public Conv conv(ConvWeights weights, Arena arena) {
      return java.conv(weights, arena);
    }
  }

  @Test
  void whatFailedIsNotRemembered() {
    int[] ids = text(100, 6, 3);
    float[] expected = run(model.withMemo(500 * entry() * model.layers().size()), ids, 50);
    Failing backend = new Failing();
    for (int entries : new int[] {8, 500}) {
      EngramModel view =
          model.withBackend(backend).withMemo(entries * entry() * model.layers().size());
      backend.fails = true;
      for (int i = 0; i < 20; i++) { // pins that stayed would leave no place
        assertThrows(IllegalStateException.class, () -> run(view, ids, 50));
      }
      assertEquals(0, view.statistics().getFirst().memo().bytes());
      backend.fails = false;
      assertArrayEquals(expected, run(view, ids, 50));
      assertTrue(view.statistics().getFirst().memo().bytes() > 0);
    }
  }
}
