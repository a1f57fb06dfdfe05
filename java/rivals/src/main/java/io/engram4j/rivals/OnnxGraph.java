package io.engram4j.rivals;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;

/**
 * Writes an ONNX model, as its Java library only reads them: the few messages of {@code
 * onnx.proto3} that the rivals need, in protobuf's wire format.
 */
final class OnnxGraph {
  private static final int IR_VERSION = 9;
  private static final int OPSET = 17;
  private static final String EXTENSIONS = "com.microsoft";

  /** Types of elements, by their number in TensorProto. */
  enum Type {
    FLOAT(1),
    UINT8(2),
    INT32(6),
    INT64(7);

    private final int number;

    Type(int number) {
      this.number = number;
    }
  }

  /** One message under construction. */
  private static final class Message {
    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

    private void varint(long value) {
      long rest = value;
      while ((rest & ~0x7fL) != 0) {
        bytes.write((int) ((rest & 0x7f) | 0x80));
        rest >>>= 7;
      }
      bytes.write((int) rest);
    }

    Message number(int field, long value) {
      varint((long) field << 3);
      varint(value);
      return this;
    }

    Message data(int field, byte[] data) {
      varint(((long) field << 3) | 2);
      varint(data.length);
      bytes.writeBytes(data);
      return this;
    }

    Message text(int field, String text) {
      return data(field, text.getBytes(StandardCharsets.UTF_8));
    }

    Message message(int field, Message inner) {
      return data(field, inner.bytes.toByteArray());
    }
  }

  private final Message graph = new Message().text(2, "graph");
  private int made;

  private static Message value(String name, Type type, long[] shape) {
    Message dimensions = new Message();
    for (long size : shape) {
      dimensions.message(1, new Message().number(1, size));
    }
    Message tensor = new Message().number(1, type.number).message(2, dimensions);
    return new Message().text(1, name).message(2, new Message().message(1, tensor));
  }

  String input(String name, Type type, long... shape) {
    graph.message(11, value(name, type, shape));
    return name;
  }

  void output(String name, Type type, long... shape) {
    graph.message(12, value(name, type, shape));
  }

  private static Message tensor(String name, Type type, long[] shape) {
    Message tensor = new Message();
    for (long size : shape) {
      tensor.number(1, size);
    }
    return tensor.number(2, type.number).text(8, name);
  }

  String floats(float[] values, long... shape) {
    ByteBuffer raw = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    raw.asFloatBuffer().put(values);
    String name = "constant" + made++;
    byte[] data = new byte[raw.capacity()];
    raw.get(data);
    graph.message(5, tensor(name, Type.FLOAT, shape).data(9, data));
    return name;
  }

  String number(float value) {
    return floats(new float[] {value});
  }

  String integers(long... values) {
    Message tensor = tensor("constant" + made, Type.INT64, new long[] {values.length});
    for (long value : values) {
      tensor.number(7, value);
    }
    graph.message(5, tensor);
    return "constant" + made++;
  }

  /** A constant that lies in a file beside the model. */
  String external(String file, Type type, long bytes, long... shape) {
    String name = "constant" + made++;
    Message tensor = tensor(name, type, shape);
    tensor.message(13, new Message().text(1, "location").text(2, file));
    tensor.message(13, new Message().text(1, "length").text(2, "" + bytes));
    graph.message(5, tensor.number(14, 1));
    return name;
  }

  /** Adds a node and returns its output. */
  String node(String operator, String... inputs) {
    return node(operator, "", 0, inputs);
  }

  /** Adds a node with an attribute, a whole number, and returns its output. */
  String node(String operator, String attribute, long value, String... inputs) {
    String output = "value" + made++;
    named(operator, List.of(output), attribute, value, inputs);
    return output;
  }

  /** Adds a node whose outputs have names. */
  void named(
      String operator, List<String> outputs, String attribute, long value, String... inputs) {
    Message node = new Message();
    for (String input : inputs) {
      node.text(1, input);
    }
    outputs.forEach(output -> node.text(2, output));
    node.text(4, operator);
    if (!attribute.isEmpty()) {
      node.message(5, new Message().text(1, attribute).number(3, value).number(20, 2));
    }
    graph.message(1, node);
  }

  /** Adds a node of ONNX Runtime's own, with attributes that are whole numbers. */
  void extension(
      String operator, String output, Map<String, Integer> attributes, String... inputs) {
    Message node = new Message();
    for (String input : inputs) {
      node.text(1, input);
    }
    node.text(2, output).text(4, operator).text(7, EXTENSIONS);
    attributes.forEach((name, value) ->
        node.message(5, new Message().text(1, name).number(3, value).number(20, 2)));
    graph.message(1, node);
  }

  byte[] model() {
    Message opset = new Message().text(1, "").number(2, OPSET);
    Message extensions = new Message().text(1, EXTENSIONS).number(2, 1);
    Message model = new Message().number(1, IR_VERSION).message(7, graph);
    return model.message(8, opset).message(8, extensions).bytes.toByteArray();
  }
}
