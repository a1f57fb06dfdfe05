package io.engram4j.run;

import io.engram4j.model.Stage;

/**
 * One layer's way over some tokens: the order of the stages, in one place for every device. A
 * device says how each stage is done, or queued; the host is the device on which it is done at
 * once.
 *
 * <p>Ids alone decide the first stages, so they may run ahead of the model:
 *
 * <pre>
 *   fetchRows   hash -> fetch      ids to rows as they are stored, where the device reads them
 *   gatherRows  gather -> overlay  rows as the projection takes them
 *   applyRows   project -> gate -> conv
 * </pre>
 */
public abstract class LayerPass {
  /** Made by a device. */
  protected LayerPass() {}

  /** Computes the row ids. */
  protected abstract void hash();

  /** Reads rows that the device cannot, to where it can; nothing for tables in its reach. */
  protected abstract void fetch();

  /** Widens the rows. */
  protected abstract void gather();

  /** Puts rows that are replaced over those of the table. */
  protected abstract void overlay();

  /** Computes key and value. */
  protected abstract void project();

  /** Computes the gates; without a convolution the stream is updated. */
  protected abstract void gate();

  /** Convolves what passed the gates and updates the stream. */
  protected abstract void conv();

  /** Returns whether the layer has a convolution. */
  protected abstract boolean hasConv();

  /** Called behind a stage. */
  protected void done(Stage stage) {
    // devices that queue have nothing to tell
  }

  /** Goes from ids to rows as they are stored. */
  public final void fetchRows() {
    hash();
    done(Stage.HASH);
    fetch();
  }

  /** Goes on to rows as the projection takes them. */
  public final void gatherRows() {
    gather();
    overlay();
    done(Stage.GATHER);
  }

  /** Goes on to key and value. */
  public final void projectRows() {
    project();
    done(Stage.PROJECT);
  }

  /** Goes on to the stream. */
  public final void updateStream() {
    gate();
    done(Stage.GATE);
    if (hasConv()) {
      conv();
      done(Stage.CONV);
    }
  }

  /** Goes from rows to the stream. */
  public final void applyRows() {
    projectRows();
    updateStream();
  }
}
