// multiply_adds.h: how much arithmetic a product is.
#pragma once

#include "ir/graph.h"

namespace intact {

// Multiply-adds of Conv, ConvTranspose, Gemm and MatMul, and of their forms on codes (QConv,
// QConvTranspose, QLinear, QMatMul), for operands x and w and result y of these shapes:
//
//   Conv           |y| w[1] w[2] ...     ConvTranspose   |x| w[1] w[2] ...
//   Gemm, MatMul   |y| K, K the summed axis of x
//
// Everything else counts as 0.
double multiply_adds(const Node& node, const Shape& x, const Shape& w, const Shape& y);

}  // namespace intact
