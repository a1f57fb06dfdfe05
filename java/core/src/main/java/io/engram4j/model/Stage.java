package io.engram4j.model;

/** The stages of the flow, in order, under the names they have everywhere in this project. */
public enum Stage {
  /** Token ids to compressed ids. */
  MAP,
  /** Compressed ids to row ids. */
  HASH,
  /** Row ids to rows. */
  GATHER,
  /** Rows to a key per branch and a value. */
  PROJECT,
  /** Key, value and stream to gates; V4.1 updates the stream here. */
  GATE,
  /** The paper's short convolution, which updates the stream there. */
  CONV
}
