/**
 * Messages over UCX, which takes TCP, InfiniBand, RoCE or what else a machine has: the machine's
 * libucp is loaded when an address asks for it, and nothing is linked.
 *
 * <p>Uses: remote's transport interface.
 *
 * <p>Knows no rows: messages are handed to it.
 */
@NullMarked
package io.engram4j.ucx;

import org.jspecify.annotations.NullMarked;
