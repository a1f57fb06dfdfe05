/** What jextract makes of the headers in native/; regenerate it with ci/regenerate-bindings.sh. */
module io.engram4j.bindings {
  exports io.engram4j.bindings to
      io.engram4j.bridge;
  exports io.engram4j.bindings.cuda to
      io.engram4j.bridge;
}
