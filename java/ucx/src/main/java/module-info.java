import org.jspecify.annotations.NullMarked;

/** Rows of tables over UCX. */
@NullMarked
module io.engram4j.ucx {
  requires io.engram4j.core;
  requires io.engram4j.remote;
  requires org.slf4j;
  requires static transitive org.jspecify;

  exports io.engram4j.ucx;

  provides io.engram4j.remote.RowEngine with
      io.engram4j.ucx.UcxEngine;
}
