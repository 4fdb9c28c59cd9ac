#include "passes/pass.h"

#include "base/check.h"
#include "base/fp_env.h"
#include "ir/verify.h"
#include "passes/registry.h"

namespace intact {

Status run_passes(Graph& graph, std::span<const std::string_view> names, PassContext& context) {
  const ScopedFpEnv fp;  // What passes fold into weights is part of every answer.
  for (const std::string_view name : names) {
    const Pass* pass = find_pass(name);
    if (pass == nullptr)
      return fail(ErrorCode::kInvalidArgument, fmt::format("there is no pass '{}'", name));
    if (auto status = pass->run(graph, context); !status)
      return fail(status.error().with_context(fmt::format("pass '{}'", name)));
    const Status intact = verify(graph);
    INTACT_CHECK(intact.has_value(), "pass '{}' broke the graph: {}", name, intact.error().text());
  }
  return {};
}

}  // namespace intact
