/**
 * The stages on an NVIDIA GPU: rows come straight out of tables in the host's memory, or out of the
 * device's, while the model computes something else, and the layer runs on the engine's own device
 * pointers and streams. Begin with {@link io.engram4j.cuda.CudaModel}.
 */
@NullMarked
package io.engram4j.cuda;

import org.jspecify.annotations.NullMarked;
