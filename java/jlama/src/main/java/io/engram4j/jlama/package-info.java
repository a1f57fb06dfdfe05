/** Engram layers in the models of Jlama. */
@NullMarked
package io.engram4j.jlama;

import org.jspecify.annotations.NullMarked;
