/** What jextract makes of native/include/engram.h; regenerate it with ci/regenerate-bindings.sh. */
module io.engram4j.bindings {
  exports io.engram4j.bindings to
      io.engram4j.ffm;
}
