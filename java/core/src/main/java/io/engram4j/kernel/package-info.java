/**
 * The kernels of a backend, one interface per stage, and how a backend is offered.
 *
 * <p>Uses {@code model}, {@code table} and {@code weights}.
 *
 * <p>Holds no state between calls and knows no sequences or steps.
 */
@NullMarked
package io.engram4j.kernel;

import org.jspecify.annotations.NullMarked;
