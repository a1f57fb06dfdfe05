import org.jspecify.annotations.NullMarked;

/** GGUF files: metadata and where tensors lie, read strictly. */
@NullMarked
module io.engram4j.gguf {
  requires static transitive org.jspecify;

  exports io.engram4j.gguf;
}
