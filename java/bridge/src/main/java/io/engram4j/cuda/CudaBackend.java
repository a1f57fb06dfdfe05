package io.engram4j.cuda;

import io.engram4j.bindings.cuda.EngramCuda;
import io.engram4j.kernel.Backend;
import io.engram4j.model.LayerLayout;
import io.engram4j.table.Table;
import io.engram4j.weights.ConvWeights;
import io.engram4j.weights.GateWeights;
import io.engram4j.weights.Projection;
import java.lang.foreign.Arena;

/**
 * The stages on a device for engines whose hidden states lie in the host's memory: weights stay on
 * the device, data goes there and back by call.
 */
final class CudaBackend implements Backend {
  static final String NAME = "cuda";

  private final CudaDevice device;

  CudaBackend(CudaDevice device) {
    this.device = device;
  }

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public String description() {
    return device.name()
        + ", compute capability "
        + device.computeCapability()
        + ", driver for CUDA "
        + device.driver() / 1000
        + "."
        + device.driver() % 1000 / 10
        + ", ABI "
        + EngramCuda.ENGRAM_CUDA_ABI()
        + ", "
        + CudaLibrary.path();
  }

  @Override
  public Hash hash(LayerLayout layout, Arena arena) {
    return new CudaKernels(device.index(), arena).new CudaHash(layout);
  }

  @Override
  public Gather gather(Table table, Arena arena) {
    return new CudaKernels(device.index(), arena).new CudaGather(table);
  }

  @Override
  public Project project(Projection projection, Arena arena) {
    return new CudaKernels(device.index(), arena).new CudaProject(projection);
  }

  @Override
  public Gate gate(GateWeights weights, Arena arena) {
    return new CudaKernels(device.index(), arena).new CudaGate(weights);
  }

  @Override
  public Conv conv(ConvWeights weights, Arena arena) {
    return new CudaKernels(device.index(), arena).new CudaConv(weights);
  }
}
