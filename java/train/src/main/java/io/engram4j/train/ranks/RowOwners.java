package io.engram4j.train.ranks;

import io.engram4j.train.table.RowReader;
import io.engram4j.train.table.StepGradients;
import io.engram4j.train.table.TrainableTable;
import java.util.List;
import java.util.function.IntFunction;

/**
 * Where the rows of a model that trains are: each rank has tables, and what a step needs of the
 * others' comes before it and goes back after it. Methods are called by all ranks, for each step
 * {@link #pull}, {@link #push} and {@link #apply}. For one thread at a time, but what {@link #rows}
 * returns may be read by many until the next pull. Owns its tables.
 */
public interface RowOwners extends AutoCloseable {
  /** Returns the ranks. */
  Ranks ranks();

  /** Returns this rank's tables, in the order of the Engram layers; each has all rows or some. */
  List<TrainableTable> tables();

  /** Returns from where passes read rows, in the order of the layers. */
  List<? extends RowReader> rows();

  /**
   * Brings the rows of tokens here.
   *
   * @param ids of a layer, by its place: [tokens, columns]
   * @param live [tokens]: whether a token has rows
   */
  void pull(IntFunction<long[]> ids, boolean[] live, int tokens);

  /**
   * Adds up what a step gave rows, and brings it to where they are.
   *
   * @param step of each layer
   * @return the sum of squares of what came to this rank
   */
  double push(List<StepGradients> step, Workers workers);

  /**
   * Changes rows by what {@link #push} brought.
   *
   * @param factor by which gradients are multiplied
   * @param step its number, from 0
   * @return how many rows of this rank changed
   */
  long apply(float factor, float rate, long step, Workers workers);

  @Override
  void close();
}
