package io.engram4j.kernel;

import java.util.List;
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

  /** Returns the ways in which the backend can or cannot run here, if it has more than one. */
  default List<Variant> variants() {
    return List.of();
  }

  /**
   * A way in which a backend can run, such as an instruction-set tier or a device.
   *
   * @param name what it is, such as {@code tier avx2}
   * @param chosen whether {@link #create} takes it
   * @param unavailable why it cannot be taken here, or nothing if it can
   */
  record Variant(String name, boolean chosen, Optional<String> unavailable) {}

  /**
   * Makes the backend.
   *
   * @throws IllegalStateException with the reason if it is unavailable
   */
  Backend create();
}
