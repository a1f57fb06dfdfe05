package io.engram4j.work;

import java.io.IOException;
import org.jspecify.annotations.Nullable;

/** Throws on the caller's thread what went wrong on another. */
public final class Failures {
  private Failures() {}

  /** Returns what to throw for anything thrown: itself, or wrapped if it is checked. */
  public static RuntimeException unchecked(Throwable failure) {
    rethrow(failure);
    throw new AssertionError("rethrow has thrown");
  }

  /** Throws a failure as it is, or wrapped if it is checked; does nothing with null. */
  public static void rethrow(@Nullable Throwable failure) {
    switch (failure) {
      case null -> {}
      case RuntimeException e -> throw e;
      case Error e -> throw e;
      case Throwable e -> throw new IllegalStateException(e);
    }
  }

  /** As {@link #rethrow}, with an IOException as it is, and others of that kind wrapped in one. */
  public static void rethrowIo(@Nullable Throwable failure) throws IOException {
    switch (failure) {
      case null -> {}
      case IOException e -> throw e;
      case RuntimeException e -> throw e;
      case Error e -> throw e;
      case Throwable e -> throw new IOException(e);
    }
  }
}
