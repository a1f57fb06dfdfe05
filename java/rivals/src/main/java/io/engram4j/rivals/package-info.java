/** Libraries that a user could take instead. */
@NullMarked
package io.engram4j.rivals;

import org.jspecify.annotations.NullMarked;
