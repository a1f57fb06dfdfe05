package io.engram4j.train;

import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;

/**
 * What a rank computed, or how it failed, until all ranks know.
 *
 * @param value null if it failed
 * @param failure null if it did not
 */
record Attempt<T>(@Nullable T value, @Nullable Throwable failure) {
  static <T> Attempt<T> of(Callable<T> work) {
    try {
      return new Attempt<>(work.call(), null);
    } catch (Throwable e) {
      return new Attempt<>(null, e);
    }
  }

  T get() {
    if (value == null) {
      throw new IllegalStateException(failure);
    }
    return value;
  }
}
