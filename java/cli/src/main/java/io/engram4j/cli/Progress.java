package io.engram4j.cli;

import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;
import org.jspecify.annotations.Nullable;

/** A progress bar on standard error, where that is a terminal; else nothing. */
final class Progress implements AutoCloseable {
  private final @Nullable ProgressBar bar;

  /**
   * Begins long work.
   *
   * @param unit what is counted, such as MB
   * @param unitSize how many steps make one such unit
   */
  Progress(String task, long steps, String unit, long unitSize) {
    bar =
        isTerminal()
            ? new ProgressBarBuilder()
                .setTaskName(task)
                .setInitialMax(steps)
                .setUnit(unit, unitSize)
                .setStyle(ProgressBarStyle.UNICODE_BLOCK)
                .clearDisplayOnFinish()
                .build()
            : null;
  }

  /** Returns whether a person is watching, on a terminal that can move its cursor. */
  @SuppressWarnings("SystemConsoleNull") // JDK 25 went back to returning null without a terminal
  static boolean isTerminal() {
    var console = System.console();
    return console != null && console.isTerminal() && !"dumb".equals(System.getenv("TERM"));
  }

  void step(long steps) {
    if (bar != null) {
      bar.stepBy(steps);
    }
  }

  @Override
  public void close() {
    if (bar != null) {
      bar.close();
    }
  }
}
