#include "onnx/attribute_types.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace intact {
namespace {

using Names = std::string_view;

// Each list is sorted. Left out, since their type depends on operator or version: p, seed, to,
// value.
constexpr std::array<Names, 21> kFloat{"alpha",
                                       "beta",
                                       "bias",
                                       "clip",
                                       "cubic_coeff_a",
                                       "epsilon",
                                       "extrapolation_value",
                                       "gamma",
                                       "height_scale",
                                       "high",
                                       "lambd",
                                       "low",
                                       "max",
                                       "mean",
                                       "min",
                                       "momentum",
                                       "ratio",
                                       "scale",
                                       "softcap",
                                       "spatial_scale",
                                       "width_scale"};
constexpr std::array<Names, 76> kInt{"align_corners",
                                     "allowzero",
                                     "antialias",
                                     "axis",
                                     "batch_axis",
                                     "batch_dims",
                                     "block_size",
                                     "blocksize",
                                     "broadcast",
                                     "ceil_mode",
                                     "center_point_box",
                                     "chunk_size",
                                     "count_include_pad",
                                     "detect_negative",
                                     "detect_positive",
                                     "dtype",
                                     "end",
                                     "exclude_outside",
                                     "exclusive",
                                     "fmod",
                                     "group",
                                     "hidden_size",
                                     "ignore_index",
                                     "input_forget",
                                     "interleaved",
                                     "inverse",
                                     "is_case_sensitive",
                                     "is_causal",
                                     "is_test",
                                     "k",
                                     "keepdims",
                                     "kv_num_heads",
                                     "largest",
                                     "layout",
                                     "left_window_size",
                                     "linear_before_reset",
                                     "max_gram_length",
                                     "max_skip_count",
                                     "maxsplit",
                                     "min_gram_length",
                                     "new_axis",
                                     "noop_with_empty_axes",
                                     "num_groups",
                                     "num_heads",
                                     "num_outputs",
                                     "num_scan_inputs",
                                     "offset_group",
                                     "onesided",
                                     "output_datatype",
                                     "output_dtype",
                                     "output_height",
                                     "output_sequence",
                                     "output_width",
                                     "periodic",
                                     "precision",
                                     "q_num_heads",
                                     "qk_matmul_output_mode",
                                     "reverse",
                                     "right_window_size",
                                     "rotary_embedding_dim",
                                     "sample_size",
                                     "sampling_ratio",
                                     "saturate",
                                     "select_last_index",
                                     "size",
                                     "softmax_precision",
                                     "sorted",
                                     "spatial",
                                     "start",
                                     "stash_type",
                                     "storage_order",
                                     "time_axis",
                                     "training_mode",
                                     "transA",
                                     "transB",
                                     "upper"};
constexpr std::array<Names, 18> kString{"activation",
                                        "approximate",
                                        "auto_pad",
                                        "case_change_action",
                                        "coordinate_transformation_mode",
                                        "delimiter",
                                        "direction",
                                        "equation",
                                        "keep_aspect_ratio_policy",
                                        "locale",
                                        "mode",
                                        "nearest_mode",
                                        "padding_mode",
                                        "pattern",
                                        "pixel_format",
                                        "reduction",
                                        "round_mode",
                                        "update_rule"};
constexpr std::array<Names, 23> kInts{"axes",
                                      "consumed_inputs",
                                      "dilations",
                                      "directions",
                                      "ends",
                                      "kernel_shape",
                                      "ngram_counts",
                                      "ngram_indexes",
                                      "output_padding",
                                      "output_shape",
                                      "paddings",
                                      "pads",
                                      "perm",
                                      "pool_int64s",
                                      "pooled_shape",
                                      "scan_input_axes",
                                      "scan_input_directions",
                                      "scan_output_axes",
                                      "scan_output_directions",
                                      "shape",
                                      "split",
                                      "starts",
                                      "strides"};
constexpr std::array<Names, 4> kFloats{"activation_alpha", "activation_beta", "scales", "weights"};
constexpr std::array<Names, 3> kStrings{"activations", "pool_strings", "stopwords"};
constexpr std::array<Names, 3> kGraph{"body", "else_branch", "then_branch"};

constexpr std::array<Names, 15> kTypeNames{
    "UNDEFINED",      "FLOAT",      "INT",        "STRING",  "TENSOR", "GRAPH",
    "FLOATS",         "INTS",       "STRINGS",    "TENSORS", "GRAPHS", "SPARSE_TENSOR",
    "SPARSE_TENSORS", "TYPE_PROTO", "TYPE_PROTOS"};

template <std::size_t n>
bool has(const std::array<Names, n>& list, Names name) noexcept {
  return std::binary_search(list.begin(), list.end(), name);
}

static_assert(std::is_sorted(kFloat.begin(), kFloat.end()));
static_assert(std::is_sorted(kInt.begin(), kInt.end()));
static_assert(std::is_sorted(kString.begin(), kString.end()));
static_assert(std::is_sorted(kInts.begin(), kInts.end()));

}  // namespace

std::int32_t standard_attribute_type(std::string_view attribute) noexcept {
  if (has(kInt, attribute)) return 2;
  if (has(kInts, attribute)) return 7;
  if (has(kFloat, attribute)) return 1;
  if (has(kString, attribute)) return 3;
  if (has(kFloats, attribute)) return 6;
  if (has(kStrings, attribute)) return 8;
  if (has(kGraph, attribute)) return 5;
  return 0;
}

std::string attribute_type_name(std::int32_t type) {
  const bool known = type >= 0 && type < static_cast<std::int32_t>(kTypeNames.size());
  return known ? std::string(kTypeNames[static_cast<std::size_t>(type)])
               : fmt::format("type {}", type);
}

}  // namespace intact
