package io.engram4j.jlama;

import com.github.tjake.jlama.model.AbstractModel;
import com.github.tjake.jlama.model.TransformerBlock;
import com.github.tjake.jlama.tensor.AbstractTensor;
import com.github.tjake.jlama.tensor.KvBufferCache.KvBuffer;
import io.engram4j.EngramLayer;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** A block of Jlama's with Engram before it. */
final class EngramBlock extends TransformerBlock {
  private final int index;
  private final @Nullable EngramLayer layer;
  private final EngramHook hook;
  private final TransformerBlock inner;

  EngramBlock(
      AbstractModel model,
      int index,
      @Nullable EngramLayer layer,
      EngramHook hook,
      TransformerBlock inner) {
    this.index = index;
    this.layer = layer;
    this.hook = hook;
    this.inner = inner;
    super(
        model,
        index,
        Optional.empty(),
        null,
        Optional.empty(),
        Optional.empty(),
        null,
        Optional.empty(),
        Optional.empty());
  }

  @Override
  @SuppressWarnings("rawtypes") // as Jlama declares it
  public AbstractTensor forward(
      AbstractTensor hidden,
      int position,
      KvBuffer buffer,
      Optional<Consumer<List<AbstractTensor>>> reducer) {
    hook.before(index, layer, hidden, position, buffer);
    return inner.forward(hidden, position, buffer, reducer);
  }
}
