package io.engram4j.examples.chat;

import com.github.tjake.jlama.safetensors.DType;
import dev.langchain4j.model.chat.ChatModel;
import io.engram4j.EngramModel;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.jlama.EngramJlama;
import io.engram4j.tck.ByteTokenizer;
import io.engram4j.tck.RandomLlama;
import io.engram4j.tck.RandomModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Chats with a Llama and Engram layers, of random weights unless it is given directories. */
public final class ChatExample {
  private static final int HIDDEN = 64;

  private ChatExample() {}

  /**
   * Runs the example.
   *
   * @param args a directory of a model of Jlama's and one of Engram's, or nothing
   */
  public static void main(String[] args) throws IOException {
    if (args.length != 0 && args.length != 2) {
      throw new IllegalArgumentException("two directories are wanted, or none, not " + args.length);
    }
    Path llama = args.length > 1 ? Path.of(args[0]) : makeLlama(Files.createTempDirectory("llama"));
    Path memory =
        args.length > 1 ? Path.of(args[1]) : makeEngram(Files.createTempDirectory("engram"));
    try (EngramModel engram = EngramDirectory.open(memory);
        EngramJlama jlama = EngramJlama.load(llama, engram, DType.F32)) {
      ChatModel chat = new EngramChatModel(jlama, 0.7f, 128);
      System.out.println(chat.chat("What is the capital of France?"));
    }
  }

  static Path makeLlama(Path directory) throws IOException {
    new RandomLlama(HIDDEN, 4, 4, 2, 128).write(directory);
    return directory;
  }

  static Path makeEngram(Path directory) throws IOException {
    RandomModel.small(HIDDEN, 1, List.of(1, 3)).write(directory, bytes -> {});
    ByteTokenizer.write(directory);
    return directory;
  }
}
