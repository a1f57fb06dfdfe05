package io.engram4j.train.corpus;

import io.engram4j.train.corpus.WordNet.Synset;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Facts of WordNet as sentences: what somebody or something is, where a place lies, which town is a
 * capital. Each fact is said in several phrasings that are trained, and in others that never are,
 * by which a model is asked whether it knows the fact or only the sentence. In some of the trained
 * ones more tokens stand between name and answer than an n-gram has. The same each time.
 */
public final class Facts {
  /** A fact of a kind. */
  private record Fact(String kind, String subject, String answer) {}

  /** How a kind of fact is said: what is trained, and what is only asked. */
  private record Phrasings(List<String> trained, List<String> asked) {}

  private static final Map<String, Phrasings> PHRASINGS =
      Map.of(
          "what-is",
          new Phrasings(
              List.of(
                  "%s is",
                  "%s was",
                  "%s was known as",
                  "People remember %s as",
                  "The name of %s stands here for",
                  "If people ask you about %s, say that it is the name of"),
              List.of("%s became known as")),
          "where-is",
          new Phrasings(
              List.of(
                  "%s is in",
                  "%s belongs to",
                  "%s is situated in",
                  "You will find %s in",
                  "To see %s you have to travel all the way to",
                  "On the map you will find %s somewhere in"),
              List.of("%s lies in")),
          "capital",
          new Phrasings(
              List.of(
                  "The capital of %s is",
                  "%s has the capital",
                  "%s is governed from",
                  "The first city of %s is",
                  "Whoever governs %s does it from the town called",
                  "The seat of government of %s has the name"),
              List.of("The capital city of %s is")));

  private static final List<String> KINDS =
      List.of("composer", "river", "writer", "town", "painter", "physicist", "general", "island");

  private static final Pattern CAPITAL_OF = Pattern.compile("capital of (?:the )?([A-Z].*)");
  private static final int WORDS = 3; // of a name, at most
  private static final int SEED = 11;
  private static final int COMMON = 8; // facts that have the same answer, at least
  private static final int WHAT = 2000;
  private static final int WHERE = 1000;
  private static final int CAPITALS = 120;

  private final List<Fact> facts;

  private Facts(List<Fact> facts) {
    this.facts = facts;
  }

  /** Takes facts out of WordNet: some of those whose answer is that of others too. */
  public static Facts of(WordNet wordNet) {
    List<Fact> what = new ArrayList<>();
    List<Fact> where = new ArrayList<>();
    List<Fact> capitals = new ArrayList<>();
    Set<String> named = new HashSet<>(); // one name may be several persons: the first is meant
    for (Synset synset : wordNet.instances()) {
      String name = name(synset);
      if (name == null || !named.add(name)) {
        continue;
      }
      Synset kind = wordNet.noun(synset.instanceOf());
      if (kind != null) {
        what.add(new Fact("what-is", name, withArticle(kind.word())));
      }
      Synset whole = wordNet.noun(synset.partOf());
      String place = name(whole);
      if (whole != null
          && place != null
          && synset.file() == WordNet.LOCATIONS
          && whole.file() == WordNet.LOCATIONS) {
        where.add(new Fact("where-is", name, place));
      }
      for (String word : synset.words()) {
        Matcher capital = CAPITAL_OF.matcher(word);
        if (capital.matches()) {
          capitals.add(new Fact("capital", capital.group(1), name));
        }
      }
    }
    List<Fact> chosen = new ArrayList<>();
    chosen.addAll(some(what, WHAT, COMMON));
    chosen.addAll(some(where, WHERE, COMMON));
    chosen.addAll(some(capitals, CAPITALS, 1));
    return new Facts(List.copyOf(chosen));
  }

  private static List<Fact> some(List<Fact> facts, int most, int common) {
    Map<String, Integer> counts = new HashMap<>();
    facts.forEach(fact -> counts.merge(fact.answer(), 1, Integer::sum));
    List<Fact> some = new ArrayList<>(facts);
    some.removeIf(fact -> counts.getOrDefault(fact.answer(), 0) < common);
    Collections.shuffle(some, new Random(SEED));
    return some.subList(0, Math.min(most, some.size()));
  }

  /** Returns facts about names that nobody has, what each of them is; the same for a seed. */
  public static Facts invented(int count, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    Set<String> named = new HashSet<>();
    List<Fact> facts = new ArrayList<>();
    while (facts.size() < count) {
      String name = Passages.name(random);
      if (named.add(name)) {
        String kind = KINDS.get(random.nextInt(KINDS.size()));
        facts.add(new Fact("what-is", name, withArticle(kind)));
      }
    }
    return new Facts(facts);
  }

  private static String withArticle(String noun) {
    return ("aeiou".indexOf(Character.toLowerCase(noun.charAt(0))) >= 0 ? "an " : "a ") + noun;
  }

  private static @Nullable String name(@Nullable Synset synset) {
    if (synset == null) {
      return null;
    }
    String word = synset.word();
    boolean fits =
        Character.isUpperCase(word.charAt(0))
            && word.split(" ", -1).length <= WORDS
            && word.chars().allMatch(c -> Character.isLetter(c) || c == ' ' || c == '-');
    return fits ? word : null;
  }

  /** Returns how many facts there are. */
  public int size() {
    return facts.size();
  }

  /** Returns every fact in each phrasing that is trained. */
  public List<Question> trained() {
    List<Question> questions = new ArrayList<>();
    for (Fact fact : facts) {
      for (String phrasing : phrasings(fact).trained()) {
        questions.add(question(fact, phrasing));
      }
    }
    return questions;
  }

  /** Returns every fact in each phrasing that is never trained. */
  public List<Question> asked() {
    List<Question> questions = new ArrayList<>();
    for (Fact fact : facts) {
      for (String phrasing : phrasings(fact).asked()) {
        questions.add(question(fact, phrasing));
      }
    }
    return questions;
  }

  private static Phrasings phrasings(Fact fact) {
    return java.util.Objects.requireNonNull(PHRASINGS.get(fact.kind()));
  }

  private static Question question(Fact fact, String phrasing) {
    return new Question(fact.kind(), phrasing.formatted(fact.subject()), fact.answer() + ".");
  }
}
