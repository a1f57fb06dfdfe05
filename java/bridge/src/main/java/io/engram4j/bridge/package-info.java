/** What the backends in C have in common: loading a library, and its structs; not exported. */
@NullMarked
package io.engram4j.bridge;

import org.jspecify.annotations.NullMarked;
