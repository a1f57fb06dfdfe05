package io.engram4j.jlama;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.github.tjake.jlama.model.AbstractModel;
import com.github.tjake.jlama.model.ModelSupport;
import com.github.tjake.jlama.safetensors.DType;
import com.github.tjake.jlama.safetensors.prompt.PromptContext;
import com.github.tjake.jlama.tensor.AbstractTensor;
import com.github.tjake.jlama.tensor.KvBufferCache;
import com.github.tjake.jlama.tensor.KvBufferCache.KvBuffer;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.tck.ByteTokenizer;
import io.engram4j.tck.Golden;
import io.engram4j.tck.RandomLlama;
import io.engram4j.tck.RandomModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.UUID;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Engram inside the real Jlama, on a Llama of random weights. */
final class EngramJlamaTest {
  private static final int HIDDEN = 64;
  private static final String PROMPT = "the cat sat on the mat, and then the cat sat on the hat";

  @TempDir static Path directory;
  private static Path llama = Path.of("");

  @BeforeAll
  static void write() throws IOException {
    llama = Files.createDirectory(directory.resolve("llama"));
    new RandomLlama(HIDDEN, 4, 4, 2, 128).write(llama);
  }

  private static Path engram(int hidden, int branches, Integer... layers) throws IOException {
    Path engram = Files.createTempDirectory(directory, "engram");
    RandomModel.small(hidden, branches, List.of(layers)).write(engram, bytes -> {});
    ByteTokenizer.write(engram);
    return engram;
  }

  private static EngramJlama load(EngramModel engram) throws IOException {
    return EngramJlama.load(llama, engram, DType.F32);
  }

  private static AbstractModel plain() {
    return ModelSupport.loadModel(llama.toFile(), DType.F32, DType.F32);
  }

  private static String generate(AbstractModel model, int tokens) {
    return model.generate(UUID.randomUUID(), PromptContext.of(PROMPT), 0, tokens).responseText;
  }

  private static int[] ids(AbstractModel model) {
    return Arrays.stream(model.getTokenizer().encode(PROMPT)).mapToInt(id -> (int) id).toArray();
  }

  /** The hidden states that the last block gives, of all tokens. */
  private static float[] floats(AbstractTensor<?, ?> hidden) {
    float[] out = new float[hidden.shape().first() * HIDDEN];
    for (int i = 0; i < out.length; i++) {
      out[i] = hidden.get(i / HIDDEN, i % HIDDEN);
    }
    hidden.close();
    return out;
  }

  @Test
  void withoutTheLayersNothingIsOther() throws IOException {
    try (AbstractModel plain = plain();
        EngramModel engram = EngramDirectory.open(engram(HIDDEN, 1, 1, 3));
        EngramJlama jlama = load(engram)) {
      String without = generate(plain, 120);
      assertTrue(without.length() > 20, without);
      String with = generate(jlama.model(), 120);
      assertNotEquals(without, with);
      jlama.setEnabled(false);
      assertEquals(without, generate(jlama.model(), 120));
      jlama.setEnabled(true);
      assertEquals(with, generate(jlama.model(), 120));
    }
  }

  /** With Engram before the first block, its hidden states can be made by hand. */
  @Test
  void theLayerDoesWhatItDoesAlone() throws IOException {
    try (AbstractModel plain = plain();
        EngramModel engram = EngramDirectory.open(engram(HIDDEN, 1, 0));
        EngramJlama jlama = load(engram);
        KvBufferCache buffers = new KvBufferCache(plain);
        KvBufferCache others = new KvBufferCache(jlama.model())) {
      int[] ids = ids(plain);
      AbstractTensor<?, ?> embeddings = plain.makeDenseTensor(ids.length, HIDDEN);
      AbstractTensor<?, ?> table = plain.getWeights().load("model.embed_tokens.weight");
      float[] hidden = new float[ids.length * HIDDEN];
      for (int i = 0; i < hidden.length; i++) {
        hidden[i] = table.get(ids[i / HIDDEN], i % HIDDEN);
      }
      EngramSequence sequence = engram.newSequence();
      sequence.append(ids);
      engram.layer(0).apply(sequence, ids.length, hidden);
      for (int i = 0; i < hidden.length; i++) {
        embeddings.set(hidden[i], i / HIDDEN, i % HIDDEN);
      }
      KvBuffer buffer = buffers.getEphemeralKvBuffer();
      float[] expected = floats(plain.forward(embeddings, 0, buffer, Optional.empty()));
      KvBuffer other = others.getEphemeralKvBuffer();
      assertArrayEquals(expected, floats(jlama.model().batchForward(ids, 0, other)));
    }
  }

  @Test
  void tokensOneByOneAndTakenBackAreTheSame() throws IOException {
    try (EngramModel engram = EngramDirectory.open(engram(HIDDEN, 1, 1, 3));
        EngramJlama jlama = load(engram);
        KvBufferCache buffers = new KvBufferCache(jlama.model())) {
      AbstractModel model = jlama.model();
      int[] ids = ids(model);
      float[] whole = floats(model.batchForward(ids, 0, buffers.getEphemeralKvBuffer()));
      KvBuffer buffer = buffers.getEphemeralKvBuffer();
      int[] wrong = new int[20];
      Arrays.fill(wrong, ByteTokenizer.FIRST_BYTE + 'x');
      model.batchForward(Arrays.copyOf(ids, 10), 0, buffer).close();
      model.batchForward(wrong, 10, buffer).close(); // drafts that are refused
      for (int i = 10; i < ids.length; i++) {
        float[] one = floats(model.forward(ids[i], i, buffer, Optional.empty()));
        float[] same = Arrays.copyOfRange(whole, i * HIDDEN, (i + 1) * HIDDEN);
        assertArrayEquals(same, one, 2e-4f, "token " + i); // Jlama's own products differ by as much
      }
    }
  }

  @Test
  void rowsCanBeFetchedAhead() throws IOException {
    try (ExecutorService threads = Executors.newFixedThreadPool(2);
        EngramModel engram = EngramDirectory.open(engram(HIDDEN, 1, 1, 3));
        EngramJlama jlama = load(engram)) {
      String without = generate(jlama.model(), 100);
      assertEquals(without, generate(jlama.prefetchOn(threads).model(), 100));
      assertTrue(engram.statistics().getFirst().prefetches() > 20);
    }
  }

  /** Jlama runs prompts in batches of 256. */
  @Test
  void longPromptsAreTheSame() throws IOException {
    try (EngramModel engram = EngramDirectory.open(engram(HIDDEN, 1, 1, 3));
        EngramJlama jlama = load(engram);
        KvBufferCache buffers = new KvBufferCache(jlama.model())) {
      AbstractModel model = jlama.model();
      int[] ids = new SplittableRandom(4).ints(300, 3, ByteTokenizer.SIZE).toArray();
      float[] whole = floats(model.batchForward(ids, 0, buffers.getEphemeralKvBuffer()));
      KvBuffer buffer = buffers.getEphemeralKvBuffer();
      float[] one = {};
      for (int i = 0; i < ids.length; i++) {
        one = floats(model.forward(ids[i], i, buffer, Optional.empty()));
      }
      assertEquals(44 * HIDDEN, whole.length); // those of the last batch
      float[] last = Arrays.copyOfRange(whole, whole.length - HIDDEN, whole.length);
      assertArrayEquals(last, one, 2e-4f);
    }
  }

  /** Sessions take turns, and each step of theirs runs on whatever thread comes. */
  @Test
  void sessionsInTurnsOnSeveralThreadsAreTheSame() throws Exception {
    try (ExecutorService threads = Executors.newFixedThreadPool(3);
        EngramModel engram = EngramDirectory.open(engram(HIDDEN, 1, 1, 3));
        EngramJlama jlama = load(engram);
        KvBufferCache buffers = new KvBufferCache(jlama.model())) {
      AbstractModel model = jlama.model();
      int[][] texts = new int[3][];
      float[][] alone = new float[3][];
      KvBuffer[] sessions = new KvBuffer[3];
      for (int text = 0; text < 3; text++) {
        texts[text] = new SplittableRandom(text).ints(40, 3, ByteTokenizer.SIZE).toArray();
        KvBuffer own = buffers.getEphemeralKvBuffer();
        for (int i = 0; i < 40; i++) {
          alone[text] = floats(model.forward(texts[text][i], i, own, Optional.empty()));
        }
        sessions[text] = buffers.getEphemeralKvBuffer();
      }
      for (int i = 0; i < 40; i++) {
        for (int text = 0; text < 3; text++) {
          int id = texts[text][i];
          int at = i;
          KvBuffer session = sessions[text];
          float[] one =
              threads.submit(() -> floats(model.forward(id, at, session, Optional.empty()))).get();
          if (i == 39) {
            assertArrayEquals(alone[text], one, "text " + text);
          }
        }
      }
    }
  }

  @Test
  void whatDoesNotFitIsRefused() throws IOException {
    assertRefused(engram(HIDDEN, 2, 1), "branches is 2", "streams 1");
    assertRefused(engram(96, 1, 1), "hidden size is 96", "length 64");
    assertRefused(engram(HIDDEN, 1, 1, 4), "layer 4", "4 layers");
    Golden.extract(directory.resolve("golden"));
    assertRefused(directory.resolve("golden/mini-paper"), "branches is 4");
  }

  private static void assertRefused(Path engramDirectory, String... parts) throws IOException {
    try (EngramModel engram = EngramDirectory.open(engramDirectory)) {
      IllegalArgumentException refused =
          assertThrows(IllegalArgumentException.class, () -> load(engram));
      String message = String.valueOf(refused.getMessage());
      for (String part : parts) {
        assertTrue(message.contains(part), message);
      }
    }
  }

  @Test
  void gapsAndUnknownEmbeddingsAreErrors() throws IOException {
    try (EngramModel engram = EngramDirectory.open(engram(HIDDEN, 1, 1));
        EngramJlama jlama = load(engram);
        KvBufferCache buffers = new KvBufferCache(jlama.model())) {
      AbstractModel model = jlama.model();
      KvBuffer buffer = buffers.getEphemeralKvBuffer();
      assertThrows(
          IllegalStateException.class, () -> model.forward(5, 3, buffer, Optional.empty()));
      AbstractTensor<?, ?> three = model.makeDenseTensor(3, HIDDEN);
      assertThrows(
          IllegalStateException.class, () -> model.forward(three, 0, buffer, Optional.empty()));
      model.forward(5, 0, buffer, Optional.empty()).close();
      AbstractTensor<?, ?> one = model.makeDenseTensor(1, HIDDEN); // as many as before, not its ids
      assertThrows(
          IllegalStateException.class, () -> model.forward(one, 0, buffer, Optional.empty()));
      KvBuffer other = buffers.getEphemeralKvBuffer();
      assertThrows(
          IllegalStateException.class, () -> model.forward(one, 0, other, Optional.empty()));
    }
  }
}
