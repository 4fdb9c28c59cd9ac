// attribute_types.h: the types that the attributes of ONNX's own operators have.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace intact {

// Returns the AttributeProto type of an attribute of an operator of the default domain, or 0 when
// it is not known or differs between operators and versions. Source: the ONNX operator
// specification, opsets 1 to 25, where a name nearly always means one type.
std::int32_t standard_attribute_type(std::string_view attribute) noexcept;

// Returns "FLOATS", or "type 77".
std::string attribute_type_name(std::int32_t type);

}  // namespace intact
