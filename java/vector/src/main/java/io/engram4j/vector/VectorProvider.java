package io.engram4j.vector;

import io.engram4j.kernel.Backend;
import io.engram4j.kernel.BackendProvider;
import java.util.Optional;

/**
 * Offers the {@code vector} backend, for machines where no native library may be loaded or none was
 * built. The Vector API is an incubator module, so it must be added: {@code java --add-modules
 * jdk.incubator.vector}.
 */
public final class VectorProvider implements BackendProvider {
  private static final String MODULE = "jdk.incubator.vector";

  /** Made by the service loader. */
  public VectorProvider() {}

  @Override
  public String name() {
    return "vector";
  }

  /** Above plain Java, below the C kernels. */
  @Override
  public int rank() {
    return 50;
  }

  @Override
  public Optional<String> unavailable() {
    if (ModuleLayer.boot().findModule(MODULE).isEmpty()) {
      return Optional.of("start java with --add-modules " + MODULE);
    }
    return Optional.ofNullable(Vectors.problem());
  }

  @Override
  public Backend create() {
    Optional<String> reason = unavailable();
    if (reason.isPresent()) {
      throw new IllegalStateException("the vector backend cannot run: " + reason.get());
    }
    return new VectorBackend();
  }
}
