package io.engram4j.tokenizer;

import java.util.ArrayDeque;
import java.util.Deque;
import org.jspecify.annotations.Nullable;

/**
 * Whether a pattern can take time out of proportion to its text: a repetition of a group that
 * repeats something or has a choice, such as {@code (a+)+} or {@code (a|aa)+}, or a reference back
 * to a group. Patterns of published tokenizers have neither.
 */
final class RegexCheck {
  private static final int LONGEST = 4000;

  private final String pattern;
  private final Deque<Boolean> groups = new ArrayDeque<>(); // whether it can match in several ways
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
          char escaped = at < pattern.length() ? pattern.charAt(at++) : ' ';
          if (isReference(escaped)) {
            return "refers back to a group";
          }
          boolean named = "pPxu".indexOf(escaped) >= 0; // a property or a number, no count
          if (named && at < pattern.length() && pattern.charAt(at) == '{') {
            at++;
            skipCounts();
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
          if (c == '{') {
            skipCounts();
          }
          if (closedRepeats) {
            return "repeats what repeats itself, or has a choice";
          }
          repeats = true;
          while (at < pattern.length()
              && (pattern.charAt(at) == '?' || pattern.charAt(at) == '+')) {
            at++; // lazy, possessive
          }
        }
        case '|', '?' -> {
          repeats = true; // the group can match in several ways
          closedRepeats = false;
        }
        default -> closedRepeats = false;
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

  private void skipCounts() {
    int end = pattern.indexOf('}', at);
    at = end < 0 ? pattern.length() : end + 1;
  }
}
