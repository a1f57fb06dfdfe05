package io.engram4j.table;

import java.io.IOException;
import java.util.List;

/**
 * The tables of one model, whose rows other machines hold. Thread-safe; whoever made them closes
 * them, after the models that use them.
 */
public interface RemoteTables {
  /** Returns the layers that have a table, in ascending order. */
  List<Integer> layers();

  /**
   * Opens the table of a layer.
   *
   * @throws IOException if there is none, or nobody serves it
   */
  RemoteTable open(int layer) throws IOException;

  /**
   * A table that was opened.
   *
   * @param name what messages call it
   * @param type how rows are stored
   * @param rows how many there are
   * @param headDim elements of a row
   * @param factor the scale of the whole table, 1 where the type has none
   * @param source fetches them
   * @param description where they come from, for people
   */
  record RemoteTable(
      String name,
      RowType type,
      long rows,
      int headDim,
      float factor,
      RowSource source,
      String description) {}
}
