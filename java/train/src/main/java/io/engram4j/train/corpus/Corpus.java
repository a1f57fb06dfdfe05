package io.engram4j.train.corpus;

import io.engram4j.train.data.Bpe;
import io.engram4j.train.data.BpeTrainer;
import io.engram4j.train.data.Mixture;
import io.engram4j.train.data.PackedDocuments;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * All that a model is trained on: a tokenizer, texts, facts and passages in token ids, and what is
 * held out of them. Immutable and thread-safe; the same each time.
 */
public final class Corpus {
  /** Shares of a step's sequences. */
  private static final double TEXT = 0.4;

  private static final double FACTS = 0.2;
  private static final double PASSAGES = 0.4;

  /**
   * Share of the passages that are read with the memory left out. A model that always had its
   * memory reads nothing without it, which says nothing of where its skill lies; texts and facts
   * always have it, for what is learned without is known without.
   */
  private static final double PASSAGES_WITHOUT_MEMORY = 0.15;

  private static final int PASSAGES_TRAINED = 60_000;
  private static final long PASSAGE_SEED = 3;
  private static final long HELD_SEED = 4;
  private static final int PASSAGES_COUNTED = 5000; // for the tokenizer
  private static final int FACT_PROBES = 600;
  private static final int READING_PROBES = 300;
  private static final int HELD_SEQUENCES = 320;

  private final Bpe bpe;
  private final List<int[]> texts;
  private final List<int[]> facts;
  private final List<int[]> passages;
  private final List<int[]> held;
  private final List<Question> trained;
  private final List<Question> asked;
  private final List<Question> reading;

  private Corpus(
      Texts texts,
      List<String> held,
      int vocabulary,
      List<Question> trained,
      List<Question> asked,
      long passages) {
    Passages training = new Passages(PASSAGE_SEED);
    BpeTrainer trainer = new BpeTrainer();
    texts.training().forEach(trainer::add);
    trained.forEach(question -> trainer.add(question.sentence()));
    for (long i = 0; i < Math.min(passages, PASSAGES_COUNTED); i++) {
      trainer.add(training.passage(i).sentence());
    }
    this.bpe = trainer.train(vocabulary);
    this.texts = encode(texts.training());
    this.held = encode(held);
    this.facts = encode(trained.stream().map(Question::sentence).toList());
    List<String> some = new ArrayList<>();
    for (long i = 0; i < passages; i++) {
      some.add(training.passage(i).sentence());
    }
    this.passages = encode(some);
    this.trained = List.copyOf(trained);
    this.asked = List.copyOf(asked);
    List<Question> questions = new ArrayList<>();
    Passages others = new Passages(HELD_SEED);
    for (long i = 0; i < (passages == 0 ? 0 : READING_PROBES); i++) {
      questions.add(others.passage(i));
    }
    this.reading = List.copyOf(questions);
  }

  /**
   * Makes a corpus of one's own texts, without facts and passages.
   *
   * @param vocabulary ids of the tokenizer
   * @throws IllegalArgumentException if there is too little text to hold any out
   */
  public static Corpus ofTexts(List<String> texts, int vocabulary) {
    Texts all = new Texts(List.of(), List.of());
    for (String text : texts) {
      all = all.and(Texts.ofParagraphs(text));
    }
    return new Corpus(all, all.held(), vocabulary, List.of(), List.of(), 0);
  }

  /**
   * Reads what {@code ci/fetch-texts} fetches: Moby-Dick, the King James Bible and WordNet; makes
   * facts and passages.
   *
   * @throws IOException if a file is missing or is not what it should be
   */
  public static Corpus read(Path directory, int vocabulary) throws IOException {
    WordNet wordNet = WordNet.read(directory.resolve("wordnet"));
    Texts books =
        Texts.ofParagraphs(Files.readString(directory.resolve("moby-dick.txt")))
            .and(Texts.ofVerses(directory.resolve("bible.txt")));
    Texts texts = books.and(Texts.ofGlosses(wordNet));
    Facts facts = Facts.of(wordNet);
    // glosses are lists of words: what is a name, or follows from what, books tell better
    return new Corpus(
        texts, books.held(), vocabulary, facts.trained(), facts.asked(), PASSAGES_TRAINED);
  }

  private List<int[]> encode(List<String> documents) {
    List<int[]> encoded = new ArrayList<>();
    for (String document : documents) {
      int[] ids = bpe.encode(document);
      int[] ended = Arrays.copyOf(ids, ids.length + 1);
      ended[ids.length] = Bpe.END;
      encoded.add(ended);
    }
    return encoded;
  }

  /** Returns the tokenizer. */
  public Bpe bpe() {
    return bpe;
  }

  /** Returns sequences to train on, 40 % text, 20 % facts, 40 % passages where there are such. */
  public Mixture training(int context, long seed) {
    List<Mixture.Part> parts = new ArrayList<>();
    parts.add(new Mixture.Part(new PackedDocuments("text", texts, context, seed), TEXT));
    if (!facts.isEmpty()) {
      parts.add(new Mixture.Part(new PackedDocuments("facts", facts, context, seed), FACTS));
    }
    if (!passages.isEmpty()) {
      parts.add(
          new Mixture.Part(
              new PackedDocuments("passages", passages, context, seed),
              PASSAGES,
              PASSAGES_WITHOUT_MEMORY));
    }
    return new Mixture(parts, seed);
  }

  /** Returns how many tokens the texts have. */
  public long textTokens() {
    return texts.stream().mapToLong(ids -> ids.length).sum();
  }

  /** Returns what to ask a model that was trained on this. */
  public Probes probes(int context) {
    PackedDocuments rest = new PackedDocuments("held out", held, context, 1);
    int sequences = (int) Math.min(HELD_SEQUENCES, rest.sequencesPerEpoch());
    int[] all = texts.stream().flatMapToInt(Arrays::stream).toArray();
    return Probes.of(
        rest.sequences(0, sequences),
        bpe,
        all,
        some(trained, FACT_PROBES),
        some(asked, FACT_PROBES),
        reading);
  }

  /** Takes questions that are equally far apart. */
  private static List<Question> some(List<Question> of, int most) {
    if (of.size() <= most) {
      return of;
    }
    List<Question> some = new ArrayList<>();
    for (int i = 0; i < most; i++) {
      some.add(of.get((int) ((long) i * of.size() / most)));
    }
    return some;
  }
}
