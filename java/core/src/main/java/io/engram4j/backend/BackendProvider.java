package io.engram4j.backend;

import java.util.Optional;

/**
 * Offers a backend; found through {@link java.util.ServiceLoader}. Must not throw when it is made:
 * what keeps its backend from running it tells in {@link #unavailable}.
 */
public interface BackendProvider {
  /** Returns the name by which the backend is selected. */
  String name();

  /** Returns the rank in automatic choice: the highest available one is taken. Java has 0. */
  int rank();

  /** Returns why the backend cannot run here, with the remedy, or nothing if it can. */
  Optional<String> unavailable();

  /**
   * Makes the backend.
   *
   * @throws IllegalStateException with the reason if it is unavailable
   */
  Backend create();
}
