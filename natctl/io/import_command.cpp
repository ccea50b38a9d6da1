#include "natctl/io/import_command.hpp"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/io/options.hpp"
#include "natctl/import.hpp"

namespace natctl::io {
namespace {

importer::Dialect dialect_of(const std::string& word) {
  using importer::Dialect;
  for (const auto& [name, dialect] : {std::pair{"vyos", Dialect::vyos}, std::pair{"keepalived", Dialect::keepalived},
                                      std::pair{"conntrackd", Dialect::conntrackd}})
    if (word == name) return dialect;
  return Dialect::vyatta;
}

std::string joined(const std::map<std::string, std::string>& texts) {
  std::string out;
  for (const auto& [node, text] : texts) out += (out.empty() ? "" : "\n") + text;
  return out;
}

std::string as_json(const importer::Imported& imported) {
  auto diagnostics = nlohmann::ordered_json::array();
  for (const auto& each : imported.diagnostics)
    diagnostics.push_back({{"severity", each.severity == common::Diagnostic::Severity::error ? "error" : "warning"},
                           {"file", each.file},
                           {"line", each.at.line},
                           {"column", each.at.column},
                           {"text", each.text}});
  const nlohmann::ordered_json json{{"config", imported.config},
                                    {"ifupdown", imported.ifupdown},
                                    {"networkd", imported.networkd},
                                    {"open_points", imported.open_points},
                                    {"diagnostics", std::move(diagnostics)}};
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

int run_import(const Invocation& invocation) {
  std::vector<importer::File> files;
  for (const std::string& name : invocation.files) {
    auto text = common::io::read_file(name);
    if (!text) return misused(name + ": cannot be read");
    files.push_back({name, std::move(*text)});
  }
  const importer::Imported imported =
      importer::import_files(dialect_of(invocation.dialect), files, {invocation.rewrite_masquerade});
  const int code = imported.failed() ? common::io::kExitUsage : imported.open_points.empty() ? 0 : 1;
  if (invocation.json) {
    std::fputs(as_json(imported).c_str(), stdout);
    return code;
  }
  for (const auto& each : imported.diagnostics) std::fprintf(stderr, "%s\n", each.to_string().c_str());
  for (const std::string& each : imported.open_points) complain("to be completed by hand: " + each);
  const std::string text = invocation.addresses == "ifupdown"   ? joined(imported.ifupdown)
                           : invocation.addresses == "networkd" ? joined(imported.networkd)
                                                                : imported.config;
  std::fputs(text.c_str(), stdout);
  return code;
}

}  // namespace natctl::io
