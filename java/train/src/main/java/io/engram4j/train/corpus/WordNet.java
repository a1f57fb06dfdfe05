package io.engram4j.train.corpus;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * WordNet's files {@code data.noun}, {@code data.verb}, {@code data.adj} and {@code data.adv}, in
 * the format of its manual page wndb(5). Immutable and thread-safe.
 */
public final class WordNet {
  /** The file of nouns that are places. */
  public static final int LOCATIONS = 15;

  private static final List<String> FILES =
      List.of("data.noun", "data.verb", "data.adj", "data.adv");
  private static final String INSTANCE_OF = "@i";
  private static final String PART_OF = "#p";

  private final Map<String, Synset> nouns = new LinkedHashMap<>();
  private final List<Synset> all = new ArrayList<>();

  /**
   * Words of one meaning.
   *
   * @param words with spaces in place of underscores
   * @param file number of the lexicographers' file, such as {@link #LOCATIONS}
   * @param gloss what it means, without examples
   * @param instanceOf offset of what this is one of, such as composer; or null
   * @param partOf offset of what this is a part of, such as Peru; or null
   */
  public record Synset(
      List<String> words,
      int file,
      String gloss,
      @Nullable String instanceOf,
      @Nullable String partOf) {
    /** Returns the first word. */
    public String word() {
      return words.getFirst();
    }
  }

  private WordNet() {}

  /**
   * Reads the four files of a directory.
   *
   * @throws IOException if one cannot be read or is not in that format
   */
  public static WordNet read(Path directory) throws IOException {
    WordNet wordNet = new WordNet();
    for (String name : FILES) {
      Path file = directory.resolve(name);
      for (String line : Files.readAllLines(file, StandardCharsets.UTF_8)) {
        if (line.startsWith(" ")) {
          continue; // the licence
        }
        Synset synset;
        try {
          synset = parse(line);
        } catch (IndexOutOfBoundsException | NumberFormatException e) {
          throw new IOException(file + " has a line that is no synset: " + line, e);
        }
        wordNet.all.add(synset);
        if (name.equals("data.noun")) {
          wordNet.nouns.put(line.substring(0, 8), synset);
        }
      }
    }
    return wordNet;
  }

  private static Synset parse(String line) {
    int bar = line.indexOf('|');
    String[] fields = line.substring(0, bar).split(" ", -1);
    int count = Integer.parseInt(fields[3], 16);
    List<String> words = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      String word = fields[4 + 2 * i].replace('_', ' ');
      words.add(word.replaceFirst("\\((a|p|ip)\\)$", "")); // where an adjective may stand
    }
    int at = 4 + 2 * count;
    int pointers = Integer.parseInt(fields[at]);
    String instanceOf = null;
    String partOf = null;
    for (int i = 0; i < pointers; i++) {
      String kind = fields[at + 1 + 4 * i];
      String offset = fields[at + 2 + 4 * i];
      if (kind.equals(INSTANCE_OF) && instanceOf == null) {
        instanceOf = offset;
      } else if (kind.equals(PART_OF) && partOf == null) {
        partOf = offset;
      }
    }
    return new Synset(
        List.copyOf(words),
        Integer.parseInt(fields[1]),
        gloss(line.substring(bar + 1)),
        instanceOf,
        partOf);
  }

  private static String gloss(String text) {
    int example = text.indexOf("; \"");
    return (example < 0 ? text : text.substring(0, example)).strip();
  }

  /** Returns all synsets, nouns first, in the order of the files. */
  public List<Synset> synsets() {
    return List.copyOf(all);
  }

  /** Returns those that are one of something: persons, places, works. */
  public List<Synset> instances() {
    return nouns.values().stream().filter(synset -> synset.instanceOf() != null).toList();
  }

  /** Returns a noun by the offset that others name it by, or null. */
  public @Nullable Synset noun(@Nullable String offset) {
    return offset == null ? null : nouns.get(offset);
  }
}
