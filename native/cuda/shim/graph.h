/*
 * Graphs in the shim: what is queued on a stream while it is captured is kept instead, and runs
 * when the graph is launched. What would end a capture with CUDA ends it here: waiting for the
 * stream, events of it, and allocating or freeing by a thread that has not said otherwise.
 */
#ifndef ENGRAM_CUDA_GRAPH_H
#define ENGRAM_CUDA_GRAPH_H

#include "runtime.h"

typedef struct shim_graph *cudaGraph_t;
typedef struct shim_graph *cudaGraphExec_t;

inline cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  SHIM_ENTER()
  shim_stream_ref found = shim_find(stream);
  if (!stream || found->capture) {
    return cudaErrorStreamCaptureUnsupported;
  }
  found->capture = std::make_shared<shim_graph>();
  return cudaSuccess;
}
inline cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
  SHIM_ENTER()
  shim_stream_ref found = shim_find(stream);
  *graph = NULL;
  if (!found->capture) {
    return cudaErrorStreamCaptureInvalidated;
  }
  std::shared_ptr<shim_graph> made;
  made.swap(found->capture);
  if (made->broken) {
    return cudaErrorStreamCaptureInvalidated;
  }
  *graph = new shim_graph(*made);
  return cudaSuccess;
}
inline cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph,
                                        unsigned long long) {
  SHIM_ENTER()
  *exec = new shim_graph(*graph);
  return cudaSuccess;
}
inline cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  SHIM_ENTER()
  for (auto &each : exec->work) {
    shim_queue(stream, SHIM_OTHER, each);
  }
  return cudaSuccess;
}
inline cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  SHIM_ENTER()
  delete graph;
  return cudaSuccess;
}
inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  SHIM_ENTER()
  delete exec;
  return cudaSuccess;
}

#endif
