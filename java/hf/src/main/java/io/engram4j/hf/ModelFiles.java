package io.engram4j.hf;

import io.engram4j.EngramModel;
import io.engram4j.kernel.Backend;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.TokenMap;
import io.engram4j.table.TableOptions;
import io.engram4j.table.io.TableFile;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * A model's files, read and checked but not opened: a directory ({@link EngramDirectory}) or a GGUF
 * file ({@link GgufModel}). Tables are not touched before {@link #open}. Immutable and thread-safe.
 */
public interface ModelFiles {
  /** Returns the directory or the file; of a split file the first part. */
  Path path();

  /** Returns what was found, for people, such as {@code safetensors directory}. */
  String form();

  /** Returns the configuration. */
  EngramConfig config();

  /** Returns everything that was checked, with its result. */
  List<Check> checks();

  /** Returns the token map, if there is a readable one. */
  Optional<TokenMap> map();

  /** Returns the tensors of a layer that were found and fit. */
  List<TensorInfo> tensors(int layerId);

  /** Returns where a tokenizer.json would be, whether it exists or not. */
  Path tokenizerJson();

  /**
   * Returns where the rows of a layer lie.
   *
   * @throws IOException if the layer's tensors are not all there
   */
  TableFile tableFile(int layerId) throws IOException;

  /**
   * Maps the tables and opens the model.
   *
   * @throws IOException if a check failed; the message lists all that did
   */
  EngramModel open(Backend backend) throws IOException;

  /**
   * Opens the model with its tables where the options say.
   *
   * @throws IOException if a check failed, or there is no room; the message lists all that did
   */
  EngramModel open(Backend backend, TableOptions options) throws IOException;

  /**
   * Opens the model for hashing only, which needs configuration and token map but no tensors.
   *
   * @throws IOException if a check of those failed
   */
  EngramModel openForHashing(Backend backend) throws IOException;
}
