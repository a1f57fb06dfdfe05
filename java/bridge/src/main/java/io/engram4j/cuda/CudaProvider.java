package io.engram4j.cuda;

import io.engram4j.kernel.Backend;
import io.engram4j.kernel.BackendProvider;
import java.util.Optional;

/**
 * Offers the {@code cuda} backend on the device of the property {@value #DEVICE}. It is taken only
 * where it is asked for by name: how it compares with the CPU's kernels, with the stream in the
 * host's memory, has been measured on no card.
 */
public final class CudaProvider implements BackendProvider {
  /** The property with the number of the device, 0 without it. */
  public static final String DEVICE = "engram.cuda.device";

  /** Made by the service loader. */
  public CudaProvider() {}

  @Override
  public String name() {
    return CudaBackend.NAME;
  }

  @Override
  public int rank() {
    return -100;
  }

  @Override
  public Optional<String> unavailable() {
    return Optional.ofNullable(CudaLibrary.problem());
  }

  @Override
  public Backend create() {
    return new CudaBackend(CudaDevice.of(Integer.getInteger(DEVICE, 0)));
  }
}
