package io.engram4j.table;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.TestModels;
import io.engram4j.kernel.java.JavaBackend;
import io.engram4j.model.Dtype;
import io.engram4j.table.RowSet.Row;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Rows are replaced and given back, whole sets at once, while others look up. */
class RowOverlayTest {
  @TempDir Path directory;

  private final EngramModel model = TestModels.v41();
  private final EngramLayer layer = model.layers().getFirst();
  private final int headDim = model.config().headDim();

  private float[] values(float first) {
    float[] values = new float[headDim];
    Arrays.fill(values, first);
    return values;
  }

  private float[] gather(EngramLayer from, long... ids) {
    float[] out = new float[ids.length * headDim];
    from.gather(MemorySegment.ofArray(ids), ids.length, MemorySegment.ofArray(out), Dtype.F32);
    return out;
  }

  private RowSet set(String name, float value, long... ids) {
    return new RowSet(
        name, Arrays.stream(ids).mapToObj(id -> new Row(layer.id(), id, values(value))).toList());
  }

  @Test
  void setsLieOverEachOther() {
    float[] before = gather(layer, 0, 1, 2);
    RowOverlay overlay = model.overlay();
    assertEquals(1, overlay.put(set("a", 1, 0, 1)));
    assertEquals(2, overlay.put(set("b", 2, 1)));
    assertEquals(1, gather(layer, 0)[0]);
    assertEquals(2, gather(layer, 1)[headDim - 1]);
    assertEquals(before[2 * headDim], gather(layer, 2)[0]);
    float[] otherView = gather(model.withBackend(new JavaBackend()).layers().getFirst(), 1);
    assertEquals(2, otherView[0]);
    overlay.put(set("a", 3, 1)); // anew, and now on top
    assertEquals(3, gather(layer, 1)[0]);
    assertEquals(before[0], gather(layer, 0)[0], "the first version of a is gone");
    assertEquals(List.of("b", "a"), overlay.sets().stream().map(s -> s.set().name()).toList());
    assertTrue(overlay.remove("a"));
    assertEquals(2, gather(layer, 1)[0]);
    assertTrue(overlay.remove("b"));
    assertFalse(overlay.remove("b"));
    assertArrayEquals(before, gather(layer, 0, 1, 2));
    assertEquals(5, overlay.version());
  }

  @Test
  void theWholeLayerSeesThem() {
    EngramSequence sequence = model.newSequence();
    sequence.append(new int[] {3, 1, 4});
    float[] plain = new float[3 * model.config().streamWidth()];
    Arrays.fill(plain, 1);
    float[] changed = plain.clone();
    float[] ahead = plain.clone();
    float[] after = plain.clone();
    layer.apply(sequence, 3, plain);
    long[] ids = new long[3 * layer.layout().columns()];
    layer.hash(model.newBatch().add(sequence, 0, 3), MemorySegment.ofArray(ids));
    sequence.prefetch(3, Runnable::run);
    model.overlay().put(set("fact", 9, ids[0]));
    layer.apply(sequence, 3, ahead); // rows fetched before, looked up after
    sequence.prefetch(0, Runnable::run);
    layer.apply(sequence, 3, changed);
    assertFalse(Arrays.equals(plain, changed));
    assertArrayEquals(changed, ahead);
    model.overlay().remove("fact");
    layer.apply(sequence, 3, after);
    assertArrayEquals(plain, after);
  }

  @Test
  void aSetIsSeenWholeOrNotAtAll() throws InterruptedException {
    long[] ids = new long[20];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = i;
    }
    model.overlay().put(set("x", 1, ids));
    AtomicReference<String> torn = new AtomicReference<>();
    Thread reader =
        Thread.ofPlatform()
            .start(() -> {
              while (!Thread.currentThread().isInterrupted()) {
                float[] rows = gather(layer, ids);
                for (float value : rows) {
                  if (value != rows[0]) {
                    torn.set(rows[0] + " and " + value);
                  }
                }
              }
            });
    for (int i = 0; i < 3000; i++) {
      model.overlay().put(set("x", i, ids));
    }
    reader.interrupt();
    reader.join();
    assertEquals(null, torn.get());
  }

  @Test
  void setsAreKeptInFiles() throws IOException {
    RowSet set = set("Ünïcode name", 0.1f, 5, 7);
    Path file = directory.resolve("set");
    set.save(file);
    RowSet again = RowSet.load(file);
    assertEquals(set.name(), again.name());
    assertArrayEquals(set.rows().get(1).values(), again.rows().get(1).values());
    assertEquals(7, again.rows().get(1).rowId());
    byte[] good = Files.readAllBytes(file);
    SplittableRandom random = new SplittableRandom(2);
    for (int i = 0; i < 3000; i++) {
      byte[] bad = good.clone();
      bad[random.nextInt(bad.length)] ^= (byte) (1 << random.nextInt(8));
      Files.write(
          file, random.nextBoolean() ? bad : Arrays.copyOf(bad, random.nextInt(bad.length)));
      assertThrows(IOException.class, () -> RowSet.load(file));
    }
  }

  @Test
  void whatDoesNotFitIsRefused() {
    long rows = layer.weights().table().rows();
    for (RowSet bad :
        List.of(
            set("outside", 1, rows),
            set("negative", 1, -1),
            new RowSet("layer", List.of(new Row(99, 0, values(1)))),
            new RowSet("width", List.of(new Row(layer.id(), 0, new float[headDim + 1]))))) {
      assertThrows(IllegalArgumentException.class, () -> model.overlay().put(bad), bad.name());
    }
    assertThrows(IllegalArgumentException.class, () -> set("twice", 1, 4, 4));
    assertThrows(IllegalArgumentException.class, () -> set("", 1, 4));
    assertEquals(List.of(), model.overlay().sets());
  }
}
