package io.engram4j.table;

/** On which NUMA nodes a table that is copied into memory lies; all the same where there is one. */
public enum NumaPolicy {
  /** Where the threads that load it run: the system's own way. */
  FIRST_TOUCH,
  /** On the node of the thread that opens it; for a process that is bound to one node. */
  BIND,
  /** On all nodes in turn, so that each serves a share of the lookups. */
  INTERLEAVE,
  /** A whole copy on each node; a lookup takes that of the core that runs it. */
  COPY_PER_NODE
}
