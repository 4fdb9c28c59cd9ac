// tables.h: the tables that together are the table of operators. One file, one family.
#pragma once

#include <span>
#include <vector>

#include "runtime/op.h"

namespace intact {

std::span<const OpRow> shape_ops();     // Reshape, Shape, Squeeze, ... : views and plan-time values
std::span<const OpRow> movement_ops();  // Transpose, Concat, Slice, Gather, Pad, Resize, ...
std::span<const OpRow> elementwise_ops();  // Binary, comparison, logical, Where
std::span<const OpRow> unary_ops();
std::span<const OpRow> reduce_ops();     // Reduce*, Softmax, LayerNormalization
std::span<const OpRow> matmul_ops();     // MatMul, Gemm
std::span<const OpRow> attention_ops();  // intact.Attention
std::span<const OpRow> conv_ops();       // Conv, ConvTranspose, pools
std::span<const OpRow> resize_ops();
std::span<const OpRow> select_ops();    // NonZero, Compress: as long as the data says
std::span<const OpRow> quantize_ops();  // QuantizeLinear, DequantizeLinear
std::span<const OpRow> dynamic_ops();   // DynamicQuantizeLinear, MatMulInteger, ConvInteger
std::span<const OpRow> chain_ops();     // intact.Chain
std::span<const OpRow> channel_ops();   // intact.Channels
std::span<const OpRow> integer_ops();   // intact.Q*: what passes/fuse_qdq makes

std::vector<std::span<const OpRow>> op_tables();

}  // namespace intact
