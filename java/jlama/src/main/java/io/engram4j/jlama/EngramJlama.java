package io.engram4j.jlama;

import com.github.tjake.jlama.model.AbstractModel;
import com.github.tjake.jlama.model.ModelSupport.ModelType;
import com.github.tjake.jlama.safetensors.Config;
import com.github.tjake.jlama.safetensors.DType;
import com.github.tjake.jlama.safetensors.SafeTensorSupport;
import com.github.tjake.jlama.safetensors.tokenizer.Tokenizer;
import com.github.tjake.jlama.util.JsonSupport;
import io.engram4j.EngramModel;
import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.Executor;

/**
 * A model of Jlama with Engram layers in it. Use {@link #model} as any other of Jlama's: prompts
 * run in batches, tokens one by one, sessions are cut back and go on; Engram follows by the ids
 * that the model is given and the positions at which it is given them.
 *
 * <p>Of Jlama's families it takes Llama, Mistral, Qwen2 and Gemma2. As they have one residual
 * stream, the Engram model has one branch; and no convolution, which could not follow how far Jlama
 * takes sessions back. Its tensors lie in a directory of their own, since Jlama maps no tensor
 * above 2 GiB.
 *
 * <p>Steps of several sessions may come from any threads, but one after the other: Jlama 0.8.4
 * keeps the results of a block's feed-forward in a field of the model ({@code
 * MLPBlock.batchResults}), so two steps at once spoil each other, with Engram or without.
 */
public final class EngramJlama implements AutoCloseable {
  private final AbstractModel model;
  private final EngramHook hook;

  private EngramJlama(AbstractModel model, EngramHook hook) {
    this.model = model;
    this.hook = hook;
  }

  /**
   * Loads a model of Jlama's and puts Engram's layers into it. Hidden states are float32: Jlama
   * 0.8.4 copies only half of each embedding in BF16.
   *
   * @param directory of the model, with config.json, tokenizer.json and safetensors
   * @param engram stays the caller's, and open as long as this is used
   * @param quantized type to which activations are quantized before products, such as I8
   * @throws IOException if a file cannot be read
   * @throws IllegalArgumentException if the family is not among those supported, or if width,
   *     branches or layers of both models do not fit
   */
  public static EngramJlama load(Path directory, EngramModel engram, DType quantized)
      throws IOException {
    Path config = directory.resolve("config.json");
    ModelType family = SafeTensorSupport.detectModel(config.toFile());
    Families.require(family);
    Config read = JsonSupport.om.readValue(config.toFile(), family.configClass);
    EngramHook hook = new EngramHook(engram, read);
    Tokenizer tokenizer;
    try {
      tokenizer = family.tokenizerClass.getConstructor(Path.class).newInstance(directory);
    } catch (ReflectiveOperationException e) {
      throw new IOException(directory + ": its tokenizer cannot be read", e);
    }
    Families.Parts parts =
        new Families.Parts(
            read, SafeTensorSupport.loadWeights(directory.toFile()), tokenizer, quantized);
    return new EngramJlama(Families.load(family, hook, parts), hook);
  }

  /** Returns the model; it is closed with this. */
  public AbstractModel model() {
    return model;
  }

  /**
   * Lets the layers change the hidden states, or not; then the model computes what it would without
   * them. They go on following the tokens either way.
   */
  public void setEnabled(boolean enabled) {
    hook.setEnabled(enabled);
  }

  /**
   * Has rows fetched ahead: as soon as a step begins, for all layers, while Jlama computes those
   * before. Worth it where tables are not in memory.
   *
   * @param executor runs one short task per Engram layer and step
   */
  public EngramJlama prefetchOn(Executor executor) {
    hook.prefetchOn(executor);
    return this;
  }

  @Override
  public void close() {
    model.close();
  }
}
