package io.engram4j.train.corpus;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Short passages about persons who are invented for each, and a question that only the passage
 * answers: reading, which no memory of training texts can do. Immutable and thread-safe; the same
 * number gives the same passage.
 */
public final class Passages {
  private static final List<String> SYLLABLES =
      List.of(
          "ba", "bel", "cor", "da", "dor", "el", "fa", "fen", "ga", "gri", "hal", "ia", "jor", "ka",
          "kel", "la", "lin", "ma", "mir", "na", "nor", "o", "pa", "pel", "qui", "ra", "ros", "sa",
          "sel", "ta", "tor", "u", "va", "ven", "wo", "xi", "ya", "zan", "ze", "zor");
  private static final List<String> TRADES =
      List.of(
          "baker",
          "captain",
          "carpenter",
          "cook",
          "doctor",
          "farmer",
          "fisher",
          "gardener",
          "guard",
          "hunter",
          "judge",
          "king",
          "lawyer",
          "merchant",
          "miller",
          "painter",
          "poet",
          "preacher",
          "prophet",
          "sailor",
          "servant",
          "shepherd",
          "singer",
          "smith",
          "soldier",
          "tailor",
          "teacher",
          "weaver");
  private static final List<String> PLACES =
      List.of(
          "Africa",
          "Babylon",
          "Boston",
          "China",
          "Egypt",
          "England",
          "France",
          "Greece",
          "India",
          "Italy",
          "Japan",
          "Judah",
          "London",
          "Moab",
          "Nantucket",
          "Paris",
          "Peru",
          "Rome",
          "Russia",
          "Samaria",
          "Spain",
          "Syria",
          "Tyre",
          "Zion");

  private final long seed;

  /** Passages of a seed. */
  public Passages(long seed) {
    this.seed = seed;
  }

  /** Returns a name that is nobody's. */
  public static String name(SplittableRandom random) {
    StringBuilder name = new StringBuilder();
    int count = 2 + random.nextInt(2);
    for (int i = 0; i < count; i++) {
      name.append(one(SYLLABLES, random));
    }
    return Character.toUpperCase(name.charAt(0)) + name.substring(1);
  }

  private static <T> T one(List<T> of, SplittableRandom random) {
    return of.get(random.nextInt(of.size()));
  }

  /** Returns a passage with one question after it, whose answer the passage has. */
  public Question passage(long number) {
    SplittableRandom random = new SplittableRandom(seed * 1_000_003 + number);
    int persons = 2 + random.nextInt(2);
    List<String> names = new ArrayList<>();
    List<String> trades = new ArrayList<>();
    List<String> places = new ArrayList<>();
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < persons; i++) {
      names.add(unlike(names, () -> name(random)));
      trades.add(unlike(trades, () -> one(TRADES, random)));
      places.add(unlike(places, () -> one(PLACES, random)));
      text.append(
          "%s is a %s. %s lives in %s. "
              .formatted(names.get(i), trades.get(i), names.get(i), places.get(i)));
    }
    int asked = random.nextInt(persons);
    String name = names.get(asked);
    return random.nextBoolean()
        ? new Question(
            "reading",
            text + "Where does " + name + " live? " + name + " lives in",
            places.get(asked) + ".")
        : new Question(
            "reading", text + "What is " + name + "? " + name + " is a", trades.get(asked) + ".");
  }

  /** Returns the share that is right of one who names any place or trade of the passage. */
  public static double guess(List<Question> questions) {
    return questions.stream()
        .mapToDouble(question -> {
          String part = " lives in "; // of each person a sentence; the question ends before it does
          int persons = 0;
          for (int at = question.prompt().indexOf(part);
              at >= 0;
              at = question.prompt().indexOf(part, at + 1)) {
            persons++;
          }
          return 1.0 / Math.max(1, persons);
        })
        .average()
        .orElse(0);
  }

  private static String unlike(List<String> others, java.util.function.Supplier<String> draw) {
    String drawn = draw.get();
    while (others.contains(drawn)) {
      drawn = draw.get();
    }
    return drawn;
  }
}
