package io.engram4j.run;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

/** What calls use is freed once, after the last of them, whatever state that call ends in. */
@SuppressWarnings("NonAtomicVolatileUpdate") // by one thread alone
class LifetimeTest {
  private final CountDownLatch freed = new CountDownLatch(1);
  private final Lifetime lifetime = new Lifetime(freed::countDown);

  private void requireFreed() throws InterruptedException {
    assertTrue(freed.await(10, TimeUnit.SECONDS), "it is freed");
  }

  @Test
  void isFreedAtOnceWithoutCalls() {
    lifetime.close();
    assertEquals(0, freed.getCount());
    assertThrows(IllegalStateException.class, lifetime::enter);
    assertThrows(IllegalStateException.class, lifetime::newCall);
  }

  @Test
  void isFreedAfterTheLastCall() throws Exception {
    Lifetime.Call call = lifetime.newCall();
    lifetime.enter();
    call.begin();
    lifetime.close();
    lifetime.exit();
    assertFalse(freed.await(50, TimeUnit.MILLISECONDS), "a call is under way");
    assertThrows(IllegalStateException.class, call::begin);
    call.depth--;
    requireFreed();
  }

  @Test
  void isFreedAfterCallsOfAView() throws Exception {
    AtomicInteger viewsFreed = new AtomicInteger();
    Lifetime view = lifetime.child(viewsFreed::incrementAndGet);
    Lifetime.Call call = view.newCall();
    call.begin();
    view.enter();
    lifetime.close();
    view.exit();
    assertFalse(freed.await(50, TimeUnit.MILLISECONDS), "a call is under way");
    call.depth--;
    requireFreed();
    view.close();
    assertEquals(1, viewsFreed.get());
  }

  /** Closes while a call is at the end of its stack, where hardly any method can be called. */
  @Test
  void isFreedAfterACallWithoutStack() throws Exception {
    for (boolean counted : new boolean[] {false, true}) {
      for (int i = 0; i < 30; i++) {
        CountDownLatch gone = new CountDownLatch(1);
        Lifetime each = new Lifetime(gone::countDown);
        Deep deep = new Deep(each.child(() -> {}), counted);
        Thread thread = Thread.ofPlatform().start(() -> deep.go(0));
        while (deep.entered == 0) {
          Thread.onSpinWait();
        }
        each.close();
        deep.over = true;
        thread.join();
        assertTrue(gone.await(10, TimeUnit.SECONDS), "round " + i + " is freed");
      }
    }
  }

  /** What one view cannot free keeps neither the others nor the model. */
  @Test
  void allIsFreedWhateverFails() {
    Lifetime model = new Lifetime(freed::countDown);
    AtomicInteger views = new AtomicInteger();
    for (int i = 0; i < 3; i++) {
      model.child(() -> {
        views.incrementAndGet();
        throw new IllegalStateException("a view's");
      });
    }
    IllegalStateException e = assertThrows(IllegalStateException.class, model::close);
    assertEquals(2, e.getSuppressed().length);
    assertEquals(3, views.get());
    assertEquals(0, freed.getCount());
    assertThrows(IllegalStateException.class, () -> model.child(() -> {}));
  }

  /** A view that ran out of memory while it was freed is freed with the next try. */
  @Test
  void aViewThatCouldNotBeFreedIsNotForgotten() {
    AtomicInteger tries = new AtomicInteger();
    Lifetime model = new Lifetime(freed::countDown);
    model.child(() -> {
      if (tries.incrementAndGet() == 1) {
        throw new OutOfMemoryError("just now");
      }
    });
    assertThrows(OutOfMemoryError.class, model::close);
    assertEquals(1, freed.getCount());
    model.close();
    assertEquals(2, tries.get());
    assertEquals(0, freed.getCount());
  }

  @Test
  void whatCouldNotBeFreedIsFreedByClosingAgain() {
    AtomicInteger tries = new AtomicInteger();
    Lifetime each =
        new Lifetime(() -> {
          if (tries.incrementAndGet() == 1) {
            throw new StackOverflowError();
          }
        });
    assertThrows(StackOverflowError.class, each::close);
    each.close();
    each.close();
    assertEquals(2, tries.get());
  }

  /** Makes calls in each of the last frames of a stack. */
  private static final class Deep {
    private final Lifetime lifetime;
    private final Lifetime.Call call;
    private final boolean counted;
    volatile int entered;
    volatile boolean over;

    Deep(Lifetime lifetime, boolean counted) {
      this.lifetime = lifetime;
      this.call = lifetime.newCall();
      this.counted = counted;
    }

    void go(int frames) {
      try {
        if (frames < Integer.MAX_VALUE) { // always
          go(frames + 1);
        }
      } catch (StackOverflowError e) {
        if (!over) {
          callOnce();
        }
        throw e;
      }
    }

    private void callOnce() {
      if (counted) {
        lifetime.enter();
        try {
          work();
        } finally {
          lifetime.exit();
        }
      } else {
        call.begin();
        try {
          work();
        } finally {
          call.depth--;
        }
      }
    }

    private void work() {
      entered = 1;
      while (!over) {} // without a call
    }
  }
}
