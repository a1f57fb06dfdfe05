package io.engram4j.hf;

import io.engram4j.gguf.GgufFile;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.TokenMap;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * How files of one architecture say what their Engram layers have (docs/spec.md, section 10). One
 * entry and one file per architecture.
 */
interface GgufDialect {
  /** Returns the values of {@code general.architecture} that it reads. */
  List<String> architectures();

  /** Reads and checks a file. */
  Described read(GgufFile file, @Nullable Path map) throws IOException;

  /**
   * What a file says.
   *
   * @param dialect for people, such as {@code llama.cpp}
   * @param layers by id, in the order of the configuration
   * @param checks what was compared beside
   */
  record Described(
      String dialect,
      EngramConfig config,
      TokenMap map,
      Map<Integer, GgufLayer> layers,
      List<Check> checks) {}
}
