package io.engram4j.examples.djl;

import ai.djl.Model;
import ai.djl.inference.Predictor;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.nn.Parameter;
import ai.djl.training.initializer.NormalInitializer;
import ai.djl.translate.Batchifier;
import ai.djl.translate.TranslateException;
import ai.djl.translate.Translator;
import ai.djl.translate.TranslatorContext;
import io.engram4j.EngramModel;
import io.engram4j.djl.EngramBlock;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.tck.ByteTokenizer;
import io.engram4j.tck.RandomModel;
import io.engram4j.tokenizer.TextTokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Predicts a token with a model of DJL's blocks, of random weights, that has Engram in it. */
public final class DjlExample {
  static final int HIDDEN = 64;

  private DjlExample() {}

  /** A text in, the logits of the token after it out. */
  static final class NextTokenTranslator implements Translator<String, float[]> {
    private final TextTokenizer tokenizer;

    NextTokenTranslator(TextTokenizer tokenizer) {
      this.tokenizer = tokenizer;
    }

    @Override
    public NDList processInput(TranslatorContext context, String text) {
      int[] ids = tokenizer.encode(text);
      return new NDList(context.getNDManager().create(ids, new Shape(1, ids.length)));
    }

    @Override
    public float[] processOutput(TranslatorContext context, NDList list) {
      return list.singletonOrThrow().get("0, -1").toFloatArray();
    }

    @Override
    public @Nullable Batchifier getBatchifier() {
      return null; // texts differ in length
    }
  }

  /** Makes a model; weights are the same for every model, with Engram or without. */
  static Model model(@Nullable EngramBlock engram) {
    Model model = Model.newInstance("next-token", "PyTorch");
    NextToken block = new NextToken(ByteTokenizer.SIZE, HIDDEN, engram);
    model.getNDManager().getEngine().setRandomSeed(7);
    block.setInitializer(new NormalInitializer(1f), Parameter.Type.WEIGHT);
    block.initialize(model.getNDManager(), DataType.FLOAT32, new Shape(1, 8));
    model.setBlock(block);
    return model;
  }

  /** Makes a small Engram model with a tokenizer of bytes. */
  static Path make(Path directory) throws IOException {
    RandomModel.small(HIDDEN, 1, List.of(1)).write(directory, bytes -> {});
    ByteTokenizer.write(directory);
    return directory;
  }

  /** Runs the example. */
  public static void main(String[] args) throws IOException, TranslateException {
    Path directory = make(Files.createTempDirectory("engram"));
    try (EngramModel engram = EngramDirectory.open(directory);
        TextTokenizer tokenizer = TextTokenizer.open(directory.resolve("tokenizer.json"));
        Model model = model(new EngramBlock(engram, 1));
        Predictor<String, float[]> predictor =
            model.newPredictor(new NextTokenTranslator(tokenizer))) {
      float[] logits = predictor.predict("the cat sat on ");
      int best = 0;
      for (int i = 1; i < logits.length; i++) {
        best = logits[i] > logits[best] ? i : best;
      }
      System.out.println("of " + logits.length + " tokens, " + best + " is the likeliest");
    }
  }
}
