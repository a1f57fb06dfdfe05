package io.engram4j.examples.chat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.github.tjake.jlama.safetensors.DType;
import dev.langchain4j.data.message.AiMessage;
import dev.langchain4j.data.message.SystemMessage;
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.model.chat.response.ChatResponse;
import io.engram4j.EngramModel;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.jlama.EngramJlama;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** LangChain4j's interface, Jlama's engine and Engram's layers, together. */
final class ChatExampleTest {
  @Test
  void chats(@TempDir Path llama, @TempDir Path memory) throws IOException {
    ChatExample.makeLlama(llama);
    ChatExample.makeEngram(memory);
    try (EngramModel engram = EngramDirectory.open(memory);
        EngramJlama jlama = EngramJlama.load(llama, engram, DType.F32)) {
      EngramChatModel chat = new EngramChatModel(jlama, 0, 100);
      String answer = chat.chat("What is the capital of France?");
      assertFalse(answer.isBlank());
      assertEquals(answer, chat.chat("What is the capital of France?"));
      ChatResponse response =
          chat.chat(
              SystemMessage.from("Be brief."),
              UserMessage.from("Hello"),
              AiMessage.from("Hello!"),
              UserMessage.from("How are you?"));
      assertTrue(response.tokenUsage().inputTokenCount() > 20);
      jlama.setEnabled(false);
      assertNotEquals(answer, chat.chat("What is the capital of France?"));
    }
  }

  @Test
  void theExampleRuns() throws IOException {
    ChatExample.main(new String[] {});
  }
}
