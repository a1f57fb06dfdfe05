/**
 * The stages on an NVIDIA GPU, on the engine's own streams; begin with {@link CudaModel}.
 *
 * <p>Uses {@code bridge}, the bindings and the core's {@code run}, which has the order of stages.
 *
 * <p>Knows nothing of {@code cpu}; waits for the device only where its Javadoc says so.
 */
@NullMarked
package io.engram4j.cuda;

import org.jspecify.annotations.NullMarked;
