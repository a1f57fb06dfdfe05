package io.engram4j.hf;

import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.engram4j.EngramModel;
import io.engram4j.kernel.java.JavaBackend;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Damaged inputs, thousands of them: each is read or refused with an IOException, and nothing else
 * happens. The property {@code engram.fuzz.seed} repeats a run, {@code engram.fuzz.inputs} sets its
 * length per reader.
 */
class FuzzTest {
  private static final int INPUTS = Integer.getInteger("engram.fuzz.inputs", 20_000);
  private static final String[] NASTY = {
    "0",
    "-1",
    "1e308",
    "NaN",
    "null",
    "true",
    "\"\"",
    "[]",
    "{}",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "2147483648",
    "1.5",
    "4611686018427387904",
    "\"\\ud800\"",
    "[[[[[[[[",
    "\u0000",
    "65536",
    "4294967295"
  };

  @TempDir Path directory;

  /** Reads one damaged input. */
  private interface Reader {
    void read(byte[] input) throws IOException;
  }

  private static byte[] mutate(byte[] base, SplittableRandom random) {
    byte[] bytes = base.clone();
    for (int change = 1 + random.nextInt(4); change > 0 && bytes.length > 0; change--) {
      int at = random.nextInt(bytes.length);
      int to = Math.min(bytes.length, at + 1 + random.nextInt(30));
      bytes =
          switch (random.nextInt(7)) {
            case 0 -> replace(bytes, at, at + 1, new byte[] {(byte) random.nextInt(256)});
            case 1 -> replace(bytes, at, to, new byte[0]);
            case 2 -> replace(bytes, at, at, Arrays.copyOfRange(bytes, at, to));
            case 3 -> Arrays.copyOf(bytes, at);
            case 4 -> flip(bytes, at, random);
            default -> value(bytes, at, random);
          };
    }
    return bytes;
  }

  /** Puts something nasty where a number stands. */
  private static byte[] value(byte[] bytes, int at, SplittableRandom random) {
    int from = at;
    while (from < bytes.length && (bytes[from] < '0' || bytes[from] > '9')) {
      from++;
    }
    int to = from;
    while (to < bytes.length && bytes[to] >= '0' && bytes[to] <= '9') {
      to++;
    }
    String nasty = NASTY[random.nextInt(NASTY.length)];
    return replace(bytes, from, to, nasty.getBytes(StandardCharsets.UTF_8));
  }

  private static byte[] flip(byte[] bytes, int at, SplittableRandom random) {
    bytes[at] ^= (byte) (1 << random.nextInt(8));
    return bytes;
  }

  private static byte[] replace(byte[] bytes, int from, int to, byte[] middle) {
    byte[] result = Arrays.copyOf(bytes, from + middle.length + bytes.length - to);
    System.arraycopy(middle, 0, result, from, middle.length);
    System.arraycopy(bytes, to, result, from + middle.length, bytes.length - to);
    return result;
  }

  private static int fuzz(String name, byte[] base, int inputs, Reader reader) throws IOException {
    long seed = Long.getLong("engram.fuzz.seed", System.nanoTime());
    int refused = 0;
    for (int i = 0; i < inputs; i++) {
      byte[] input = mutate(base, new SplittableRandom(seed + i));
      try {
        reader.read(input);
      } catch (IOException e) {
        refused++;
      } catch (RuntimeException | Error e) {
        throw new AssertionError(
            name
                + " input "
                + i
                + ", repeat with -Dengram.fuzz.seed="
                + (seed + i)
                + ": "
                + new String(input, StandardCharsets.ISO_8859_1),
            e);
      }
    }
    String line =
        "fuzzed " + name + " (seed " + seed + ", " + refused + " refused), inputs: " + inputs;
    System.out.println(line);
    Path counts = Files.createDirectories(Path.of("target", "case-counts"));
    Files.writeString(counts.resolve("fuzz-" + name.replace(' ', '-') + ".txt"), line + "\n");
    assertTrue(refused > inputs / 4, line);
    return inputs - refused;
  }

  @Test
  void configurations() throws IOException {
    byte[] base = SmallModel.CONFIG.getBytes(StandardCharsets.UTF_8);
    int read =
        fuzz(
            "config.json",
            base,
            INPUTS,
            input -> {
              JsonNode node = Json.parseObject("config.json", input);
              ConfigReader.parse("config.json", node);
            });
    assertTrue(read > 0, "every input was refused");
  }

  @Test
  void tokenizers() throws IOException {
    byte[] base = SmallModel.TOKENIZER.getBytes(StandardCharsets.UTF_8);
    int read =
        fuzz(
            "tokenizer.json",
            base,
            INPUTS,
            input -> {
              TokenizerJson vocabulary = TokenizerJson.read("t", new ByteArrayInputStream(input));
              io.engram4j.model.TokenMap.build(vocabulary);
            });
    assertTrue(read > 0, "every input was refused");
  }

  @Test
  void headers() throws IOException {
    Path file = directory.resolve("base.safetensors");
    SmallModel.shard(file, SmallModel.tensors(1, 60));
    Path damaged = directory.resolve("damaged.safetensors");
    int read =
        fuzz(
            "safetensors header",
            Files.readAllBytes(file),
            INPUTS,
            input -> {
              Files.write(damaged, input);
              for (TensorInfo tensor : SafetensorsFile.open(damaged).tensors().values()) {
                try (var arena = java.lang.foreign.Arena.ofConfined()) {
                  SafetensorsFile.map(tensor, arena);
                }
              }
            });
    assertTrue(read > 0, "every input was refused");
  }

  /** Whole directories, so that what passes the readers meets every later check too. */
  @Test
  void directories() throws IOException {
    SmallModel.write(directory);
    int read = 0;
    String[] files = {
      "config.json", "a.safetensors", "tokenizer.json", "model.safetensors.index.json"
    };
    for (String name : files) {
      byte[] good = Files.readAllBytes(directory.resolve(name));
      read +=
          fuzz(
              "directory by " + name,
              good,
              INPUTS / 10,
              input -> {
                Files.write(directory.resolve(name), input);
                try (EngramModel model = EngramDirectory.read(directory).open(new JavaBackend())) {
                  var sequence = model.newSequence();
                  sequence.append(new int[] {0, 1});
                  int width = model.config().streamWidth();
                  model.layers().getLast().apply(sequence, 2, new float[2 * width]);
                }
              });
      Files.write(directory.resolve(name), good);
    }
    assertTrue(read > 0, "every input was refused");
  }
}
