#include "runtime/ops/tables.h"

namespace intact {

std::vector<std::span<const OpRow>> op_tables() {
  return {shape_ops(),    movement_ops(),  elementwise_ops(), unary_ops(),  reduce_ops(),
          matmul_ops(),   attention_ops(), conv_ops(),        resize_ops(), select_ops(),
          quantize_ops(), dynamic_ops(),   channel_ops(),     chain_ops(),  integer_ops()};
}

}  // namespace intact
