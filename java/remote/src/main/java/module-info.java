import org.jspecify.annotations.NullMarked;

/** Tables whose rows other machines hold. */
@NullMarked
module io.engram4j.remote {
  requires com.fasterxml.jackson.core;
  requires com.fasterxml.jackson.databind;
  requires io.engram4j.hf;
  requires transitive io.engram4j.core;
  requires jdk.jfr;
  requires org.slf4j;
  requires static transitive org.jspecify;

  exports io.engram4j.remote;
  exports io.engram4j.remote.wire;

  uses io.engram4j.remote.RowEngine;

  provides io.engram4j.remote.RowEngine with
      io.engram4j.remote.wire.SocketEngine;
}
