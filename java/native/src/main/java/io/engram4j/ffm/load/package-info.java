/** Finds and loads the native libraries; not exported. */
@NullMarked
package io.engram4j.ffm.load;

import org.jspecify.annotations.NullMarked;
