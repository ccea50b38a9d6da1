// Configuration files, by whomever they were written.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/config.hpp"
#include "common/result.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const common::LoadedConfig loaded = common::parse_config(text, "f", "R1");
  for (const common::Diagnostic& each : loaded.diagnostics)
    common::check(!each.to_string().empty(), "a mistake is said in words");
  const bool refused = std::ranges::any_of(
      loaded.diagnostics, [](const auto& each) { return each.severity == common::Diagnostic::Severity::error; });
  common::check(loaded.config.has_value() == (!refused && loaded.unknown_node_choices.empty()), "a refusal says why");
  return 0;
}
