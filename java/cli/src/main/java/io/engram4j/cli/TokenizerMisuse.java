package io.engram4j.cli;

import io.engram4j.tck.Misuse;
import io.engram4j.tokenizer.TextTokenizer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.SplittableRandom;

/** A tokenizer for {@code ci/misuse}, closed under the hands of those who use it. */
final class TokenizerMisuse implements Misuse.Target {
  private final TextTokenizer tokenizer;

  private TokenizerMisuse(TextTokenizer tokenizer) {
    this.tokenizer = tokenizer;
  }

  static TokenizerMisuse open(Path directory) throws IOException {
    return new TokenizerMisuse(TextTokenizer.open(directory.resolve("tokenizer.json")));
  }

  @Override
  public void misuse(SplittableRandom random) {
    if (random.nextBoolean()) {
      tokenizer.encode(anyText(random));
    } else {
      tokenizer.decode(random.ints(random.nextInt(40), -1, 900).toArray());
    }
  }

  /** A text of any characters: of one script, of all, of halves of surrogate pairs. */
  private static String anyText(SplittableRandom random) {
    int[] ends = {0x80, 0x800, 0xd800, 0x10000, 0x11000, 0x110000};
    int end = ends[random.nextInt(ends.length)];
    StringBuilder text = new StringBuilder();
    random.ints(random.nextInt(300), 0, end).forEach(text::appendCodePoint);
    return text.toString();
  }

  @Override
  public void atTheEndOfAStack() {
    tokenizer.encode("at the end");
  }

  @Override
  public void check(SplittableRandom random) throws IOException {
    String text = "rules kept by " + random.nextInt();
    String back = tokenizer.decode(tokenizer.encode(text));
    if (!back.equals(text)) {
      throw new IOException('"' + text + "\" came back from its tokens as \"" + back + '"');
    }
  }

  @Override
  public void close() {
    tokenizer.close();
  }
}
