package io.engram4j.train.corpus;

/**
 * Something to ask a model: it knows the answer if each of its tokens is the most probable one.
 *
 * @param about what kind of question, such as {@code what-is}
 * @param prompt what stands before the answer
 * @param answer which comes after a space, its full stop included
 */
public record Question(String about, String prompt, String answer) {
  /** Returns the sentence that states it. */
  public String sentence() {
    return prompt + " " + answer;
  }
}
