package io.engram4j.tck;

import io.engram4j.format.ByteLevelAlphabet;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A tokenizer.json of 260 tokens, for tests: three special ones, then every byte by itself, then
 * {@code th}, which shows that merges are at work.
 */
public final class ByteTokenizer {
  /** Begins a text. */
  public static final int BEGIN = 0;

  /** Ends a text. */
  public static final int END = 1;

  /** Stands for nothing. */
  public static final int UNKNOWN = 2;

  /** The id of byte 0. */
  public static final int FIRST_BYTE = 3;

  /** How many tokens there are. */
  public static final int SIZE = FIRST_BYTE + 257;

  private ByteTokenizer() {}

  /** Writes tokenizer.json into a directory. */
  public static void write(Path directory) throws IOException {
    StringBuilder vocabulary = new StringBuilder();
    vocabulary.append("\"<s>\": 0, \"</s>\": 1, \"<unk>\": 2");
    for (int i = 0; i < 256; i++) {
      String symbol = ByteLevelAlphabet.encode(new byte[] {(byte) i});
      String escaped = symbol.equals("\"") || symbol.equals("\\") ? "\\" + symbol : symbol;
      vocabulary.append(",\n   \"").append(escaped).append("\": ").append(FIRST_BYTE + i);
    }
    vocabulary.append(",\n   \"th\": ").append(FIRST_BYTE + 256);
    Files.writeString(
        directory.resolve("tokenizer.json"),
        """
        {"version": "1.0", "truncation": null, "padding": null,
         "added_tokens": [%s, %s, %s],
         "normalizer": null,
         "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
           "use_regex": true},
         "post_processor": null,
         "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true,
           "use_regex": true},
         "model": {"type": "BPE", "dropout": null, "unk_token": null,
           "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
           "byte_fallback": false, "ignore_merges": false,
           "vocab": {%s},
           "merges": ["t h"]}}
        """
            .formatted(
                special(BEGIN, "<s>"),
                special(END, "</s>"),
                special(UNKNOWN, "<unk>"),
                vocabulary));
  }

  private static String special(int id, String content) {
    return """
    {"id": %d, "content": "%s", "single_word": false, "lstrip": false, "rstrip": false, \
    "normalized": false, "special": true}\
    """
        .formatted(id, content);
  }
}
