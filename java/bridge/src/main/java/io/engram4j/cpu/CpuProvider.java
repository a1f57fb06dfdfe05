package io.engram4j.cpu;

import io.engram4j.bindings.Engram;
import io.engram4j.bridge.NativeLibrary;
import io.engram4j.kernel.Backend;
import io.engram4j.kernel.BackendProvider;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Offers the {@code cpu} backend. The property {@value #MAX_TIER} lowers the tier that the CPU
 * would allow.
 */
public final class CpuProvider implements BackendProvider {
  /**
   * The property with the highest tier to use: scalar, avx2, avx512, avx512_bf16, amx_bf16, neon or
   * neon_bf16.
   */
  public static final String MAX_TIER = "engram.cpu.maxTier";

  static final NativeLibrary LIBRARY =
      new NativeLibrary(
          "engram",
          "engram.native.path",
          Engram::engram_abi,
          Engram::ENGRAM_ABI,
          CpuCalls::bindAll);

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
    return Optional.ofNullable(LIBRARY.get().reason());
  }

  @Override
  public Backend create() {
    Optional<String> reason = unavailable();
    if (reason.isPresent()) {
      throw new IllegalStateException("the cpu backend cannot run: " + reason.get());
    }
    return new CpuBackend(tier(), String.valueOf(LIBRARY.get().path()), FaultGuard.problem());
  }

  @Override
  public List<Variant> variants() {
    if (LIBRARY.get().reason() != null) {
      return List.of();
    }
    Tier chosen = tier();
    List<Variant> variants = new ArrayList<>();
    for (Tier tier : Tier.values()) {
      Optional<String> problem = Optional.ofNullable(CpuCalls.problem(tier));
      variants.add(new Variant("tier " + tier, tier == chosen, problem));
    }
    return List.copyOf(variants);
  }

  /** Returns the tier in use: the best that CPU and library have, or the property's if lower. */
  static Tier tier() {
    String cap = System.getProperty(MAX_TIER);
    return Tier.best(cap == null ? null : Tier.named(cap), tier -> CpuCalls.problem(tier) == null);
  }
}
