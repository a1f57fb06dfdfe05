package io.engram4j.hf;

import org.jspecify.annotations.Nullable;

/**
 * A tensor whose type may have scales beside, and the tensor with those.
 *
 * @param scale the name, or null if the family has none: then such types are refused
 */
record ScaledName(String weight, @Nullable String scale) {}
