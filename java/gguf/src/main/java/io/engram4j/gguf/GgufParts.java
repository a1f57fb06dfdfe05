package io.engram4j.gguf;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * The files of a model: one, or as many as their names say.
 *
 * @param files in the order of their numbers
 * @param split whether they are named as parts
 */
record GgufParts(List<Path> files, boolean split) {
  private static final Pattern PART = Pattern.compile("(.*)-(\\d{5})-of-(\\d{5})[.]gguf");

  static GgufParts of(Path path) throws IOException {
    Matcher name = PART.matcher(String.valueOf(path.getFileName()));
    if (name.matches()) {
      return split(path, name);
    }
    List<Path> firsts = Files.exists(path) ? List.of() : firsts(path);
    if (firsts.size() > 1) {
      throw new IOException(path + " could be any of " + firsts);
    }
    return firsts.isEmpty() ? new GgufParts(List.of(path), false) : of(firsts.getFirst());
  }

  private static GgufParts split(Path path, Matcher name) throws IOException {
    int number = Integer.parseInt(name.group(2));
    int count = Integer.parseInt(name.group(3));
    if (number < 1 || number > count) {
      throw new IOException(path + " is called part " + number + " of " + count);
    }
    List<Path> files = new ArrayList<>();
    for (int i = 1; i <= count; i++) {
      String part = String.format(Locale.ROOT, "%s-%05d-of-%05d.gguf", name.group(1), i, count);
      Path file = path.resolveSibling(part);
      if (!Files.exists(file)) {
        throw new IOException(file + ", part " + i + " of " + count + ", does not exist");
      }
      files.add(file);
    }
    return new GgufParts(List.copyOf(files), true);
  }

  /** Returns the first parts of models whose names begin so. */
  private static List<Path> firsts(Path prefix) throws IOException {
    Path directory = prefix.resolveSibling("");
    if (!Files.isDirectory(directory)) {
      return List.of();
    }
    String begin = prefix.getFileName() + "-00001-of-";
    try (Stream<Path> all = Files.list(directory)) {
      return all.filter(
              file -> {
                String name = String.valueOf(file.getFileName());
                return name.startsWith(begin) && PART.matcher(name).matches();
              })
          .sorted()
          .toList();
    }
  }
}
