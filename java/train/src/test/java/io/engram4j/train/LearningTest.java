package io.engram4j.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.EngramModel;
import io.engram4j.hf.EngramModels;
import io.engram4j.model.TokenMap;
import io.engram4j.train.data.TargetKinds;
import io.engram4j.train.files.EngramExport;
import io.engram4j.train.files.EngramImport;
import io.engram4j.train.model.Batch;
import io.engram4j.train.model.Decoder;
import io.engram4j.train.model.DecoderShape;
import io.engram4j.train.model.EngramForm;
import io.engram4j.train.model.EngramMemory;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What the paper says of Engram, at a size that a test can train: 64 wide, six layers, 410,000
 * tokens. Training repeats to the bit, so the numbers are the same each time.
 */
class LearningTest {
  private static final System.Logger LOG = System.getLogger("learning");
  private static final int STEPS = 200;
  private static final Novel NOVEL = Novel.read();

  @TempDir private Path directory;

  private static DecoderShape shape(int inner) {
    return new DecoderShape(NOVEL.bpe.size(), 64, 6, 4, inner, 1, Novel.CONTEXT);
  }

  private static Decoder train(DecoderShape shape, EngramMemory memory) {
    Decoder decoder = SmallModels.inMemory(shape, memory, 1);
    // at the default of 50 times the rate, even one row for all n-grams gains 0.08: a bias that
    // learns fast, which is not what this is about
    TrainOptions options = TrainOptions.defaults(STEPS).withRate(1.5e-2f, 10);
    try (Trainer trainer = new Trainer(decoder, NOVEL.training, options)) {
      for (int i = 0; i < STEPS; i++) {
        trainer.step();
      }
    }
    return decoder;
  }

  private static EngramMemory memory(DecoderShape shape, long rows) {
    TokenMap map = TokenMap.build(NOVEL.bpe);
    return SmallModels.memory(shape, EngramForm.V41, map, List.of(1, 3), rows);
  }

  @Test
  void memoryLearnsWhatADenseModelOfTheSameCostDoesNot() throws IOException {
    double dense;
    long cost;
    try (Decoder decoder = train(shape(256), EngramMemory.NONE)) {
      dense = Evaluation.of(decoder, NOVEL.heldOut).loss();
      cost = decoder.weightsUsed();
    }
    try (Decoder decoder = train(shape(192), memory(shape(192), 1))) {
      // every n-gram the same row: the projection and the gate alone
      double one = Evaluation.of(decoder, NOVEL.heldOut).loss();
      LOG.log(System.Logger.Level.INFO, "capacity 1: loss " + one);
      assertTrue(Math.abs(one - dense) < 0.05, "capacity 1 " + one + ", dense " + dense);
    }
    try (Decoder decoder = train(shape(192), memory(shape(192), 5000))) {
      assertTrue(decoder.weightsUsed() <= cost, decoder.weightsUsed() + " > " + cost);
      Evaluation on = Evaluation.of(decoder, NOVEL.heldOut);
      Evaluation off = Evaluation.of(decoder, NOVEL.heldOut.withMemory(false));
      LOG.log(
          System.Logger.Level.INFO,
          "loss: dense " + dense + ", with memory " + on.loss() + ", memory off " + off.loss());
      assertTrue(on.loss() < dense - 0.15, "with memory " + on.loss() + ", dense " + dense);
      assertNamesFallMost(NOVEL.heldOut, on, off);
      double fp8 = asFp8(decoder);
      LOG.log(System.Logger.Level.INFO, "loss with rows and projection in fp8: " + fp8);
      assertEquals(on.loss(), fp8, 0.002);
    }
  }

  /** The loss with Engram's layers as V4.1's layout has them. */
  private double asFp8(Decoder decoder) throws IOException {
    Path tokenizer = directory.resolve("tokenizer.json");
    NOVEL.bpe.write(tokenizer);
    Path to = directory.resolve("model");
    EngramExport.write(decoder, tokenizer, to);
    try (EngramModel model = EngramModels.open(to);
        Decoder back = SmallModels.inMemory(decoder.shape(), EngramImport.memory(model), 1)) {
      float[] dense = decoder.parameters().values();
      System.arraycopy(dense, 0, back.parameters().values(), 0, dense.length);
      EngramImport.read(model, back, count -> {});
      assertNotEquals(
          decoder.parameters().values()[decoder.parameters().tensor("layers.1.engram.wkv").at()],
          back.parameters().values()[decoder.parameters().tensor("layers.1.engram.wkv").at()]);
      return Evaluation.of(back, NOVEL.heldOut).loss();
    }
  }

  private static void assertNamesFallMost(Batch batch, Evaluation on, Evaluation off) {
    TargetKinds kinds = TargetKinds.of(batch, NOVEL.bpe, NOVEL.trained);
    double names = off.accuracy(kinds::name) / on.accuracy(kinds::name);
    double unseen = off.accuracy(i -> kinds.seen(i, 0, 0)) / on.accuracy(i -> kinds.seen(i, 0, 0));
    LOG.log(
        System.Logger.Level.INFO,
        "kept with the memory off: names "
            + names
            + " of "
            + on.accuracy(kinds::name)
            + " at "
            + on.count(kinds::name)
            + ", after unseen 4-grams "
            + unseen
            + " of "
            + on.accuracy(i -> kinds.seen(i, 0, 0))
            + " at "
            + on.count(i -> kinds.seen(i, 0, 0)));
    assertTrue(on.count(kinds::name) > 100, on.count(kinds::name) + " names");
    assertTrue(names < unseen, "names keep " + names + ", unseen 4-grams " + unseen);
  }
}
