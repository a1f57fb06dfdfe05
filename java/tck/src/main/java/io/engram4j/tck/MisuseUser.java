package io.engram4j.tck;

import io.engram4j.EngramBatch;
import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.SequenceSnapshot;
import io.engram4j.model.Dtype;
import io.engram4j.model.HiddenStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.ConcurrentModificationException;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.RejectedExecutionException;
import org.jspecify.annotations.Nullable;

/** One thread of a {@link Misuse}. */
final class MisuseUser implements Callable<Void> {
  private static final int KINDS = 23;
  private static final int DEEP = 18;
  private static final String OWN = "the listener's own";

  private final Misuse misuse;
  private final SplittableRandom random;

  MisuseUser(Misuse misuse, SplittableRandom random) {
    this.misuse = misuse;
    this.random = random;
  }

  @Override
  public @Nullable Void call() throws Exception {
    while (!misuse.isOver()) {
      tryOut(random.nextInt(KINDS));
      if (random.nextInt(20) == 0) {
        keepTheRules();
      }
      if (random.nextInt(2000) == 0) {
        misuse.replace(random);
      }
    }
    return null;
  }

  /** Does all but work at the end of a stack: what a JVM links first there fails for ever. */
  void warmUp() throws IOException {
    for (int i = 0; i < 50 * KINDS; i++) {
      if (i % KINDS != DEEP) {
        tryOut(i % KINDS);
      }
    }
  }

  private void tryOut(int kind) throws IOException {
    try {
      act(kind, misuse.shared());
      misuse.count(String.format("%02d went through", kind));
    } catch (IllegalArgumentException
        | IllegalStateException
        | IndexOutOfBoundsException
        | ConcurrentModificationException
        | UncheckedIOException
        | StackOverflowError
        | OutOfMemoryError e) {
      misuse.count(String.format("%02d %s", kind, e.getClass().getSimpleName()));
    }
    Thread.interrupted();
  }

  private EngramLayer layer(EngramModel model) {
    return model.layers().get(random.nextInt(model.layers().size()));
  }

  /** A part of the memory that all threads write, at any place and alignment. */
  private MemorySegment any(Misuse.Shared shared) {
    long size = shared.memory().byteSize();
    long from = random.nextLong(size);
    MemorySegment part = shared.memory().asSlice(from, random.nextLong(size - from));
    return random.nextInt(8) == 0 ? part.asReadOnly() : part;
  }

  private int anyCount() {
    return switch (random.nextInt(12)) {
      case 0 -> -random.nextInt(1, 100);
      case 1 -> Integer.MAX_VALUE - random.nextInt(3);
      case 2 -> random.nextInt();
      default -> random.nextInt(45);
    };
  }

  private HiddenStream anyStream(Misuse.Shared shared) {
    Dtype type =
        random.nextInt(6) == 0 ? Dtype.F8_E4M3 : random.nextBoolean() ? Dtype.F32 : Dtype.BF16;
    int width = shared.model().config().streamWidth() * 4;
    return random.nextInt(3) > 0
        ? HiddenStream.of(
            any(shared),
            type,
            shared.model().config().branches(),
            shared.model().config().hiddenSize())
        : new HiddenStream(
            any(shared), type, random.nextLong(-8, 2L * width), random.nextLong(-8, width));
  }

  private void act(int kind, Misuse.Shared shared) throws IOException {
    EngramModel model = shared.model();
    EngramSequence sequence = shared.sequence();
    EngramBatch batch = shared.batch();
    switch (kind) {
      case 0 -> sequence.append(random.nextInt(-3, 900));
      case 1 -> sequence.append(random.ints(random.nextInt(20), 0, 800).toArray());
      case 2 -> sequence.truncate(random.nextInt(-2, 60));
      case 3 -> layer(model).apply(sequence, anyCount(), anyStream(shared));
      case 4 -> layer(model).apply(batch, anyStream(shared));
      case 5 -> batch.add(sequence, anyCount(), anyCount());
      case 6 -> batch.clear();
      case 7 -> batch.prefetch(this::execute);
      case 8 -> sequence.prefetch(anyCount(), this::execute);
      case 9 -> layer(model).gather(any(shared), anyCount(), any(shared), anyType());
      case 10 -> {
        MemorySegment ids = any(shared);
        for (long i = 0; i < Math.min(20, ids.byteSize() / 8) && !ids.isReadOnly(); i++) {
          ids.setAtIndex(ValueLayout.JAVA_LONG_UNALIGNED, i, random.nextLong(-1, 3000));
        }
        layer(model).gather(ids, random.nextInt(20), any(shared), Dtype.F32);
      }
      case 11 -> layer(model).project(any(shared), anyCount(), any(shared));
      case 12 -> layer(model).hash(batch, any(shared));
      case 13 -> model.lookup(batch, any(shared), any(shared), anyType());
      case 14 -> sequence.fork().append(random.nextInt(800));
      case 15 -> restore(model, sequence.snapshot().toBytes());
      case 16 -> listen(model, sequence, batch);
      case 17 -> {
        EngramModel view = model.withExecutor(this::execute, random.nextInt(-1, 5));
        layer(view).apply(batch, anyStream(shared));
        view.close();
      }
      case DEEP -> deep(0, () -> atTheEnd(shared));
      case 19 -> {
        Thread.currentThread().interrupt();
        layer(model).apply(sequence, 5, new float[5 * model.config().streamWidth()]);
      }
      case 20 -> model.newBatch().add(sequence, 0, 5).close();
      case 21 -> shared.targets().forEach(target -> target.misuse(random));
      default -> {
        EngramModel memo = model.withMemo(random.nextLong(1, 1 << 20));
        layer(memo).apply(batch, new float[random.nextInt(40) * model.config().streamWidth()]);
        memo.close();
      }
    }
  }

  /** What is done where the stack ends. */
  private void atTheEnd(Misuse.Shared shared) {
    EngramModel model = shared.model();
    switch (random.nextInt(4)) {
      case 0 -> layer(model).project(shared.memory(), 1, shared.memory());
      case 1 -> layer(model).hash(shared.batch(), shared.memory());
      case 2 -> shared.targets().forEach(Misuse.Target::atTheEndOfAStack);
      default -> layer(model).apply(shared.batch(), new float[20 * model.config().streamWidth()]);
    }
  }

  private Dtype anyType() {
    Dtype[] types = Dtype.values();
    return types[random.nextInt(types.length)];
  }

  private void restore(EngramModel model, byte[] saved) {
    for (int i = random.nextInt(4); i > 0 && saved.length > 0; i--) {
      saved[random.nextInt(saved.length)] = (byte) random.nextInt();
    }
    model.restore(SequenceSnapshot.fromBytes(saved));
  }

  /** An executor of no good: refuses, fails, forgets, or is this thread. */
  private void execute(Runnable task) {
    switch (random.nextInt(5)) {
      case 0 -> throw new RejectedExecutionException("full");
      case 1 -> {}
      case 2 -> Thread.startVirtualThread(task);
      default -> task.run();
    }
  }

  private void listen(EngramModel model, EngramSequence sequence, EngramBatch batch) {
    float[] stream = new float[20 * model.config().streamWidth()];
    HiddenStream hidden =
        HiddenStream.of(stream, model.config().branches(), model.config().hiddenSize());
    boolean adds = random.nextBoolean();
    layer(model)
        .apply(
            batch,
            hidden,
            (stage, first, tokens, data, nanos) -> {
              if (adds) {
                batch.add(sequence, 0, 1);
              } else {
                throw new IllegalStateException(OWN);
              }
            });
  }

  /** Works where the stack ends, at most a few frames before it. */
  private void deep(int frames, Runnable work) {
    try {
      if (frames < Integer.MAX_VALUE) { // always
        deep(frames + 1, work);
      }
    } catch (StackOverflowError e) {
      work.run();
    }
  }

  /** A model and a sequence of this thread alone: what others did must not show. */
  private void keepTheRules() throws IOException {
    try (EngramModel model = misuse.model(random)) {
      EngramSequence sequence = model.newSequence();
      int count = random.nextInt(1, 30);
      misuse.truth().append(sequence, count);
      for (int layer = 0; layer < model.layers().size(); layer++) {
        float[] stream = new float[count * model.config().streamWidth()];
        Arrays.fill(stream, SoakTruth.START);
        model.layers().get(layer).apply(sequence, count, stream);
        misuse.truth().checkStream(layer, 0, stream);
      }
      for (Misuse.Target target : misuse.targets()) {
        try (target) {
          target.check(random);
        }
      }
      misuse.count("kept the rules");
    }
  }
}
