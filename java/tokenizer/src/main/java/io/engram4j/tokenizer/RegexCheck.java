package io.engram4j.tokenizer;

import java.util.ArrayDeque;
import java.util.Deque;
import org.jspecify.annotations.Nullable;

/**
 * Whether a pattern can take time out of proportion to its text: a repetition of what repeats
 * itself, such as {@code (a+)+}, or a reference back to a group. Patterns of published tokenizers
 * have neither.
 */
final class RegexCheck {
  private static final int LONGEST = 4000;

  private final String pattern;
  private final Deque<Boolean> groups = new ArrayDeque<>(); // whether something in it repeats
  private boolean repeats;
  private int at;

  private RegexCheck(String pattern) {
    this.pattern = pattern;
  }

  /** Returns what is wrong with a pattern, or null. */
  static @Nullable String problem(String pattern) {
    if (pattern.isEmpty() || pattern.length() > LONGEST) {
      return "has " + pattern.length() + " characters";
    }
    return new RegexCheck(pattern).scan();
  }

  private @Nullable String scan() {
    boolean closedRepeats = false; // what the last atom was
    while (at < pattern.length()) {
      char c = pattern.charAt(at++);
      switch (c) {
        case '\\' -> {
          if (at < pattern.length() && isReference(pattern.charAt(at++))) {
            return "refers back to a group";
          }
          closedRepeats = false;
        }
        case '[' -> {
          skipClass();
          closedRepeats = false;
        }
        case '(' -> {
          groups.push(repeats);
          repeats = false;
          if (at < pattern.length() && pattern.charAt(at) == '?') {
            at++; // (?:, (?=, (?i and the like: no quantifier
          }
          closedRepeats = false;
        }
        case ')' -> {
          if (groups.isEmpty()) {
            return "closes a group that it does not open";
          }
          closedRepeats = repeats;
          repeats |= groups.pop();
        }
        case '*', '+', '{' -> {
          if (c != '{' || isUnbounded()) {
            if (closedRepeats) {
              return "repeats what repeats itself";
            }
            repeats = true;
          }
          while (at < pattern.length()
              && (pattern.charAt(at) == '?' || pattern.charAt(at) == '+')) {
            at++; // lazy, possessive
          }
        }
        default -> closedRepeats = c == '?' && closedRepeats;
      }
    }
    return groups.isEmpty() ? null : "leaves a group open";
  }

  private static boolean isReference(char c) {
    return (c >= '1' && c <= '9') || c == 'k' || c == 'g';
  }

  /** Skips a class with those within. */
  private void skipClass() {
    int depth = 1;
    boolean first = true;
    while (at < pattern.length() && depth > 0) {
      char c = pattern.charAt(at++);
      if (c == '\\') {
        at++;
      } else if (c == '[') {
        depth++;
      } else if (c == ']' && !first) {
        depth--;
      }
      first = first && c == '^';
    }
  }

  /** Skips a bounded repetition; tells whether it may go on for more than a few. */
  private boolean isUnbounded() {
    int end = pattern.indexOf('}', at);
    String counts = end < 0 ? "" : pattern.substring(at, end);
    at = end < 0 ? at : end + 1;
    return !counts.matches("\\d{1,2}(,\\d{1,2})?");
  }
}
