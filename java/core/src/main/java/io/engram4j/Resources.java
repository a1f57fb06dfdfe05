package io.engram4j;

import java.util.ArrayDeque;
import java.util.Deque;
import org.jspecify.annotations.Nullable;

/**
 * What a model or a view has to close, the last first; all of it, whatever fails. After an {@link
 * Error} the rest is closed by closing again.
 */
final class Resources implements AutoCloseable {
  private final Deque<AutoCloseable> owned = new ArrayDeque<>();

  /** Takes something in; null is nothing. */
  <T extends @Nullable AutoCloseable> T add(T resource) {
    if (resource != null) {
      owned.push(resource);
    }
    return resource;
  }

  /** Gives something back to whoever brought it. */
  void forget(@Nullable AutoCloseable resource) {
    owned.removeIf(own -> own == resource);
  }

  @Override
  public void close() {
    Exception first = null;
    while (!owned.isEmpty()) {
      try {
        owned.getFirst().close();
        owned.pop();
      } catch (Exception e) {
        owned.pop();
        if (first == null) {
          first = e;
        } else {
          first.addSuppressed(e);
        }
      }
    }
    switch (first) {
      case null -> {}
      case RuntimeException e -> throw e;
      default -> throw new IllegalStateException("the tables could not be closed", first);
    }
  }
}
