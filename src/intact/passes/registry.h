// registry.h: every pass, by name: what the command line lists and what the text tests call.
#pragma once

#include <span>
#include <string_view>

#include "passes/pass.h"

namespace intact {

// In alphabetical order.
std::span<const Pass> all_passes();

// Returns the pass of that name, or null.
const Pass* find_pass(std::string_view name);

// One function a file; the file of the same name says what it does and why.
Status assign_layout(Graph& graph, PassContext& context);
Status eliminate_common_subexpressions(Graph& graph, PassContext& context);
Status eliminate_dead_code(Graph& graph, PassContext& context);
Status fast_float(Graph& graph, PassContext& context);
Status fold_batch_norm(Graph& graph, PassContext& context);
Status fold_constants(Graph& graph, PassContext& context);
Status fold_pad(Graph& graph, PassContext& context);
Status fold_shapes(Graph& graph, PassContext& context);
Status fuse_attention(Graph& graph, PassContext& context);
Status fuse_chain(Graph& graph, PassContext& context);
Status fuse_channels(Graph& graph, PassContext& context);
Status fuse_gelu(Graph& graph, PassContext& context);
Status fuse_image(Graph& graph, PassContext& context);
Status fuse_layer_norm(Graph& graph, PassContext& context);
Status fuse_linear(Graph& graph, PassContext& context);
Status fuse_norm_codes(Graph& graph, PassContext& context);
Status fuse_qdq(Graph& graph, PassContext& context);
Status fuse_swish(Graph& graph, PassContext& context);
Status infer_shapes(Graph& graph, PassContext& context);
Status move_codes(Graph& graph, PassContext& context);
Status quantize_channels(Graph& graph, PassContext& context);
Status recode_int8(Graph& graph, PassContext& context);
Status remove_no_ops(Graph& graph, PassContext& context);
Status simplify(Graph& graph, PassContext& context);

}  // namespace intact
