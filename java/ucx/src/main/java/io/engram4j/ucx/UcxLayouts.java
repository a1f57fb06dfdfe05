package io.engram4j.ucx;

import java.util.LinkedHashSet;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Numbers of UCX's interface (ucp.h): sizes of structures, where fields are, and their masks. */
final class UcxLayouts {
  /** As the protocol has it, and a head. */
  static final int MOST_BYTES = (64 << 20) + 4096;

  // ucp_am_handler_param
  static final int RECEIVER_BYTES = 32;
  static final long RECEIVER_FIELDS = 1 | 2 | 4; // id, flags, callback
  static final int RECEIVER_ID_AT = 8;
  static final int RECEIVER_FLAGS_AT = 12;
  static final int RECEIVER_CALLBACK_AT = 16;
  static final int RECEIVE_WHOLE = 1;

  // ucp_am_recv_param
  static final int RECEIVED_BYTES = 16;

  // ucp_request_param
  static final int OPERATION_BYTES = 72;
  static final int OPERATION_FLAGS = 16;
  static final int SEND_REPLY = 1;
  static final int CLOSE_FORCE = 1;

  // ucp_ep_params
  static final int ENDPOINT_BYTES = 104;
  static final long ENDPOINT_ERRORS = 2 | 4; // mode, handler
  static final long ENDPOINT_SOCKET = 16;
  static final long ENDPOINT_FLAGS = 32;
  static final long ENDPOINT_REQUEST = 64;
  static final int ENDPOINT_ERROR_MODE_AT = 16;
  static final int ENDPOINT_ERROR_HANDLER_AT = 24;
  static final int ENDPOINT_FLAGS_AT = 48;
  static final int ENDPOINT_SOCKET_AT = 56;
  static final int ENDPOINT_REQUEST_AT = 72;
  static final int CLIENT_SERVER = 1;
  static final int ERRORS_OF_PEERS = 1;

  // ucp_listener_params, ucp_listener_attr
  static final int LISTENER_BYTES = 56;
  static final long LISTENER_FIELDS = 1 | 4; // socket, handler of connections
  static final int LISTENER_SOCKET_AT = 8;
  static final int LISTENER_HANDLER_AT = 40;
  static final int LISTENER_QUERY_BYTES = 136;

  private static final Pattern LANE = Pattern.compile("lane\\[\\d+]:\\s+\\d+:([^\\s.]+)");

  private UcxLayouts() {}

  /** Returns the networks that an endpoint's description names. */
  static String lanes(String info) {
    Set<String> lanes = new LinkedHashSet<>();
    Matcher matcher = LANE.matcher(info);
    while (matcher.find()) {
      lanes.add(matcher.group(1));
    }
    return String.join(",", lanes);
  }
}
