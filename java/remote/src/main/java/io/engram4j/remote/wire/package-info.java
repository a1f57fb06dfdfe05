/**
 * Rows asked for and sent in messages: what is said, by both sides, over any transport that moves
 * messages in order.
 *
 * <p>Uses: remote's engine interface and manifest, core's tables.
 *
 * <p>Knows of transports only that they move messages; sockets are here, others come as modules.
 */
@NullMarked
package io.engram4j.remote.wire;

import org.jspecify.annotations.NullMarked;
