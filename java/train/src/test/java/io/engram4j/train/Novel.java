package io.engram4j.train;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.engram4j.train.data.Bpe;
import io.engram4j.train.data.BpeTrainer;
import io.engram4j.train.data.PackedDocuments;
import io.engram4j.train.model.Batch;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.Objects;
import java.util.zip.GZIPInputStream;

/** Moby-Dick (Melville, 1851; in the public domain), every 25th paragraph held out. */
final class Novel {
  static final int CONTEXT = 128;
  static final int VOCABULARY = 2048;

  final Bpe bpe;
  final int[] trained;
  final PackedDocuments training;
  final Batch heldOut;

  private Novel(Bpe bpe, int[] trained, int[] held) {
    this.bpe = bpe;
    this.trained = trained;
    this.training = new PackedDocuments("moby-dick", List.of(trained), CONTEXT, 1);
    PackedDocuments rest = new PackedDocuments("held out", List.of(held), CONTEXT, 1);
    this.heldOut = rest.sequences(0, (int) rest.sequencesPerEpoch());
  }

  static Novel read() {
    String text;
    try (InputStream in = Novel.class.getResourceAsStream("moby-dick.txt.gz")) {
      text = new String(new GZIPInputStream(Objects.requireNonNull(in)).readAllBytes(), UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    StringBuilder training = new StringBuilder();
    StringBuilder held = new StringBuilder();
    String[] paragraphs = text.split("\n\n+", -1);
    for (int i = 0; i < paragraphs.length; i++) {
      (i % 25 == 7 ? held : training).append(paragraphs[i]).append("\n\n");
    }
    Bpe bpe = new BpeTrainer().add(training.toString()).train(VOCABULARY);
    return new Novel(bpe, bpe.encode(training.toString()), bpe.encode(held.toString()));
  }
}
