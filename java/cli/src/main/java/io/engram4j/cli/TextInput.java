package io.engram4j.cli;

import io.engram4j.host.Printable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Where a command takes a text from: the argument itself, a file, or standard input. */
class TextInput {
  @Option(
      names = "--text",
      paramLabel = "T",
      description = "The text itself, or - for standard input.")
  @Nullable String text;

  @Option(
      names = "--file",
      paramLabel = "FILE",
      description = "A file of UTF-8 text, or - for standard input.")
  @Nullable Path file;

  /** Returns what to call the text. */
  String name() {
    return file == null ? "the text" : file.toString();
  }

  /** Returns the text. */
  String read() throws IOException {
    return file != null ? readFile(file) : readText(String.valueOf(text));
  }

  /** Returns an argument that is a text; standard input if it is {@code -}. */
  static String readText(String text) throws IOException {
    if (text.equals("-")) {
      return decode("standard input", System.in.readAllBytes());
    }
    if (isFile(text)) {
      System.err.println(
          "note: --text is the text itself; for what is in the file "
              + Printable.of(text)
              + " use --file");
    }
    return text;
  }

  private static boolean isFile(String text) {
    try {
      return text.length() < 1000
          && Files.exists(Path.of(text))
          && !Files.isDirectory(Path.of(text));
    } catch (InvalidPathException e) {
      return false;
    }
  }

  /** Reads a UTF-8 text from a file, a pipe, or standard input if that is {@code -}. */
  static String readFile(Path file) throws IOException {
    if (Files.isDirectory(file)) {
      throw new IOException(file + " is a directory, not a text file");
    }
    byte[] bytes;
    if (file.toString().equals("-")) {
      bytes = System.in.readAllBytes();
    } else if (Files.isRegularFile(file) || isPipe(file)) {
      bytes = Files.readAllBytes(file);
    } else if (Files.exists(file)) {
      throw new IOException(file + " is not a regular file"); // a device may have no end
    } else if (Files.isSymbolicLink(file)) {
      throw new NoSuchFileException(file + ", a link to " + Files.readSymbolicLink(file) + ",");
    } else {
      throw new IOException(file + " does not exist; a text itself is given with --text");
    }
    return decode(file.toString(), bytes);
  }

  private static String decode(String name, byte[] bytes) throws IOException {
    ByteBuffer buffer = ByteBuffer.wrap(bytes);
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(buffer).toString();
    } catch (CharacterCodingException e) {
      boolean binary = false;
      for (int i = 0; i < Math.min(bytes.length, 4096); i++) {
        binary |= bytes[i] == 0;
      }
      throw new IOException(
          name
              + " is not UTF-8 text, from byte "
              + buffer.position()
              + " on"
              + (binary ? ": it looks like a binary file" : "; convert it, for example with iconv"),
          e);
    }
  }

  private static boolean isPipe(Path file) {
    try {
      int type = (int) Files.getAttribute(file, "unix:mode") & 0170000;
      return type == 0010000 || type == 0140000; // a socket, too: some shells have those
    } catch (IOException | UnsupportedOperationException | IllegalArgumentException e) {
      return false; // no such attribute here
    }
  }
}
