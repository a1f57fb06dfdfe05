package io.engram4j.examples.chat;

import com.github.tjake.jlama.model.AbstractModel;
import com.github.tjake.jlama.model.functions.Generator;
import com.github.tjake.jlama.safetensors.prompt.PromptSupport;
import dev.langchain4j.data.message.AiMessage;
import dev.langchain4j.data.message.ChatMessage;
import dev.langchain4j.data.message.SystemMessage;
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.exception.UnsupportedFeatureException;
import dev.langchain4j.model.chat.ChatModel;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.output.FinishReason;
import dev.langchain4j.model.output.TokenUsage;
import io.engram4j.jlama.EngramJlama;
import java.util.UUID;

/**
 * A chat model for LangChain4j. Its own {@code JlamaChatModel} loads models by name and takes none
 * that is there already, so this is what stands in between: messages to a prompt, a prompt to an
 * answer. Temperature and limit are its own; a request with tools is refused.
 */
public final class EngramChatModel implements ChatModel {
  private final AbstractModel model;
  private final float temperature;
  private final int maxTokens;

  /**
   * A chat model.
   *
   * @param model stays the caller's
   * @param maxTokens of prompt and answer together
   */
  public EngramChatModel(EngramJlama model, float temperature, int maxTokens) {
    this.model = model.model();
    this.temperature = temperature;
    this.maxTokens = maxTokens;
  }

  @Override
  public ChatResponse doChat(ChatRequest request) {
    if (!request.toolSpecifications().isEmpty()) {
      throw new UnsupportedFeatureException("this model takes no tools");
    }
    PromptSupport templates =
        model
            .promptSupport()
            .orElseThrow(() -> new IllegalStateException("the model has no chat template"));
    PromptSupport.Builder prompt = templates.builder();
    for (ChatMessage message : request.messages()) {
      switch (message) {
        case SystemMessage system -> prompt.addSystemMessage(system.text());
        case UserMessage user -> prompt.addUserMessage(user.singleText());
        case AiMessage answer -> prompt.addAssistantMessage(answer.text());
        default -> throw new IllegalArgumentException("cannot say " + message.type());
      }
    }
    Generator.Response answer =
        model.generate(UUID.randomUUID(), prompt.build(), temperature, maxTokens);
    boolean stopped = answer.finishReason == Generator.FinishReason.STOP_TOKEN;
    return ChatResponse.builder()
        .aiMessage(AiMessage.from(answer.responseText))
        .tokenUsage(new TokenUsage(answer.promptTokens, answer.generatedTokens))
        .finishReason(stopped ? FinishReason.STOP : FinishReason.LENGTH)
        .build();
  }
}
