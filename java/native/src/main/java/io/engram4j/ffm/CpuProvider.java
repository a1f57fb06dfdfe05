package io.engram4j.ffm;

import io.engram4j.backend.Backend;
import io.engram4j.backend.BackendProvider;
import io.engram4j.bindings.Engram;
import java.util.Optional;

/**
 * Offers the {@code cpu} backend. The property {@value #MAX_TIER} lowers the tier that the CPU
 * would allow.
 */
public final class CpuProvider implements BackendProvider {
  /** The property with the highest tier to use: scalar or avx2. */
  public static final String MAX_TIER = "engram.cpu.maxTier";

  /** Made by the service loader. */
  public CpuProvider() {}

  @Override
  public String name() {
    return CpuBackend.NAME;
  }

  @Override
  public int rank() {
    return 100;
  }

  @Override
  public Optional<String> unavailable() {
    return Optional.ofNullable(NativeLibrary.get().reason());
  }

  @Override
  public Backend create() {
    Optional<String> reason = unavailable();
    if (reason.isPresent()) {
      throw new IllegalStateException("the cpu backend cannot run: " + reason.get());
    }
    return new CpuBackend(tier());
  }

  /** Returns the tier in use: the best that CPU and library have, or the property's if lower. */
  static Tier tier() {
    Tier best = Tier.of(Engram.engram_best_tier());
    String wanted = System.getProperty(MAX_TIER);
    if (wanted == null) {
      return best;
    }
    Tier cap = Tier.named(wanted);
    return cap.compareTo(best) < 0 ? cap : best;
  }
}
