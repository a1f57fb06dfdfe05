package io.engram4j;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** A model is swapped under those who use it, who notice nothing. */
class ModelSlotTest {
  @Test
  void aModelIsClosedWithTheLastOfItsLeases() {
    EngramModel first = TestModels.v41();
    EngramModel second = TestModels.v41();
    ModelSlot slot = new ModelSlot(first);
    ModelSlot.Lease one = slot.lease();
    ModelSlot.Lease other = slot.lease();
    assertSame(first, one.model());
    slot.swap(second);
    one.close();
    one.close(); // once is what counts
    assertTrue(first.isOpen());
    assertSame(second, slot.lease().model());
    assertThrows(IllegalArgumentException.class, () -> slot.swap(second));
    other.close();
    assertFalse(first.isOpen());
    slot.swap(TestModels.v41());
    assertTrue(second.isOpen(), "a lease of it was not closed");
    ModelSlot.Lease last = slot.lease();
    slot.close();
    slot.close();
    assertThrows(IllegalStateException.class, slot::lease);
    assertThrows(IllegalStateException.class, () -> slot.swap(TestModels.v41()));
    assertTrue(last.model().isOpen());
    last.close();
    assertFalse(last.model().isOpen());
  }

  @Test
  void aModelCanBePutBack() {
    EngramModel first = TestModels.v41();
    EngramModel second = TestModels.v41();
    ModelSlot slot = new ModelSlot(first);
    ModelSlot.Lease lease = slot.lease();
    slot.swap(second);
    assertTrue(first.isOpen(), "it has a lease");
    slot.swap(first);
    assertFalse(second.isOpen());
    lease.close();
    assertTrue(first.isOpen(), "it is in place");
    assertThrows(IllegalArgumentException.class, () -> slot.swap(second), "it is closed");
    slot.close();
    assertFalse(first.isOpen());
  }

  @Test
  void callsGoOnWhileModelsAreSwapped() throws Exception {
    ModelSlot slot = new ModelSlot(TestModels.v41());
    AtomicBoolean over = new AtomicBoolean();
    Callable<Integer> user =
        () -> {
          int calls = 0;
          while (!over.get()) {
            try (ModelSlot.Lease lease = slot.lease()) {
              EngramModel model = lease.model();
              EngramSequence sequence = model.newSequence();
              sequence.append(new int[] {1, 2, 3});
              model
                  .layers()
                  .getFirst()
                  .apply(sequence, 3, new float[3 * model.config().streamWidth()]);
              calls++;
            }
          }
          return calls;
        };
    try (ExecutorService users = Executors.newFixedThreadPool(3)) {
      List<Future<Integer>> all = Stream.of(user, user, user).map(users::submit).toList();
      for (int i = 0; i < 200; i++) {
        slot.swap(TestModels.v41());
      }
      over.set(true);
      for (Future<Integer> each : all) {
        assertTrue(each.get() > 0);
      }
    }
    slot.close();
  }
}
