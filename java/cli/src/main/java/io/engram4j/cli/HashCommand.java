package io.engram4j.cli;

import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.hf.ModelFiles;
import io.engram4j.hf.TokenizerJson;
import io.engram4j.tokenizer.TextTokenizer;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Shows the row ids of a text or of token ids. */
@Command(name = "hash", header = "Show each token's compressed id and row ids. Needs no tensors.")
final class HashCommand implements Callable<Integer> {
  @Mixin ModelOptions model = new ModelOptions();
  @Mixin Output output = new Output();

  @ArgGroup(multiplicity = "1")
  Input input = new Input();

  @Option(
      names = "--dead",
      split = ",",
      paramLabel = "POSITION",
      description = "Positions, from 0, that belong to an image.")
  int[] dead = {};

  @Option(names = "--backend", paramLabel = "B", description = "The backend that hashes.")
  @Nullable String backend;

  static final class Input extends TextInput {
    @Option(
        names = "--ids",
        split = ",",
        paramLabel = "ID",
        description = "The token ids to hash, such as 1,2,3.")
    int @Nullable [] ids;
  }

  @Override
  public Integer call() throws IOException {
    ModelFiles directory = model.read();
    try (EngramModel opened = directory.openForHashing(ModelOptions.backend(backend))) {
      int[] ids = input.ids != null ? input.ids : encode(directory);
      if (ids.length == 0) {
        throw new IllegalArgumentException(input.name() + " has no tokens");
      }
      EngramSequence sequence = opened.newSequence();
      if (dead.length == 0) {
        sequence.append(ids);
      } else {
        sequence.append(ids, deadMarks(opened, ids));
      }
      show(opened, sequence, ids, pieces(directory, ids));
    }
    return 0;
  }

  private int[] encode(ModelFiles directory) throws IOException {
    try (TextTokenizer tokenizer = TextTokenizer.open(directory.tokenizerJson())) {
      return tokenizer.encode(input.read());
    }
  }

  /** The given positions, and those of image tokens as without any given. */
  private boolean[] deadMarks(EngramModel opened, int[] ids) {
    int tokens = ids.length;
    boolean[] marks = new boolean[tokens];
    EngramSequence without = opened.newSequence();
    without.append(ids);
    for (int i = 0; i < tokens; i++) {
      marks[i] = without.compressedId(i) < 0;
    }
    for (int position : dead) {
      if (position < 0 || position >= tokens) {
        throw new IllegalArgumentException(
            "--dead " + position + " is not a position of the " + tokens + " tokens");
      }
      marks[position] = true;
    }
    return marks;
  }

  private static String[] pieces(ModelFiles directory, int[] ids) throws IOException {
    String[] none = new String[ids.length];
    Arrays.fill(none, "");
    if (!Files.exists(directory.tokenizerJson())) {
      return none;
    }
    TokenizerJson vocabulary = TokenizerJson.read(directory.tokenizerJson());
    boolean fits = Arrays.stream(ids).allMatch(id -> id >= 0 && id < vocabulary.size());
    return fits ? Text.pieces(vocabulary, ids) : none;
  }

  private void show(EngramModel opened, EngramSequence sequence, int[] ids, String[] pieces) {
    var batch = opened.newBatch().add(sequence, 0, ids.length);
    Map<Integer, MemorySegment> rowIds = new LinkedHashMap<>();
    for (EngramLayer layer : opened.layers()) {
      long[] space = new long[ids.length * opened.config().columns()];
      MemorySegment segment = MemorySegment.ofArray(space);
      layer.hash(batch, segment);
      rowIds.put(layer.id(), segment);
    }
    List<Map<String, Object>> tokens = new ArrayList<>();
    for (int position = 0; position < ids.length; position++) {
      Map<String, Object> token = new LinkedHashMap<>();
      boolean outside = ids[position] < 0 || ids[position] >= opened.map().size();
      int compressed = outside ? -1 : opened.map().get(ids[position]);
      boolean isDead = sequence.compressedId(position) < 0;
      token.put("position", position);
      token.put("token_id", ids[position]);
      token.put("text", pieces[position]);
      token.put("compressed_id", compressed);
      token.put("dead", isDead);
      LookBack seen = lookBack(opened, sequence, ids, position);
      token.put("look_back", seen.ids);
      token.put("stopped_by", seen.stoppedBy);
      output.line(
          "%d  token %d %s  compressed %d%s%s",
          position,
          ids[position],
          pieces[position].isEmpty() ? "" : Text.quoted(pieces[position]),
          compressed,
          isDead ? "  dead" : "",
          isDead || seen.stoppedBy.isEmpty() ? "" : "  sees " + seen + " before it");
      Map<String, Object> layers = new LinkedHashMap<>();
      for (var entry : rowIds.entrySet()) {
        long[] rows = rows(entry.getValue(), position, opened.config().columns());
        layers.put("" + entry.getKey(), rows);
        output.line(
            "     layer %-3d %s",
            entry.getKey(),
            String.join(" ", Arrays.stream(rows).mapToObj(Long::toString).toList()));
      }
      token.put("rows", layers);
      tokens.add(token);
    }
    output.json(Map.of("tokens", tokens));
  }

  /**
   * How many ids before a token its n-grams are made of, and why there are no more: older ones are
   * refused, and read as padding.
   */
  private record LookBack(int ids, String stoppedBy) {
    @Override
    public String toString() {
      return ids + (stoppedBy.isEmpty() ? "" : ", then " + stoppedBy);
    }
  }

  private static LookBack lookBack(
      EngramModel opened, EngramSequence sequence, int[] ids, int position) {
    int barrier = opened.config().barrierTokenId().orElse(-1);
    if (sequence.compressedId(position) < 0) {
      return new LookBack(0, "no memory");
    }
    for (int back = 1; back < opened.config().maxNgram(); back++) {
      int at = position - back;
      String stop =
          at < 0
              ? "the beginning"
              : sequence.compressedId(at) < 0
                  ? "an image"
                  : ids[at] == barrier ? "the end of a text" : "";
      if (!stop.isEmpty()) {
        return new LookBack(back - 1, stop);
      }
    }
    return new LookBack(opened.config().maxNgram() - 1, "");
  }

  private static long[] rows(MemorySegment rowIds, int position, int columns) {
    long[] rows = new long[columns];
    MemorySegment.copy(rowIds, JAVA_LONG_UNALIGNED, 8L * position * columns, rows, 0, columns);
    return rows;
  }
}
