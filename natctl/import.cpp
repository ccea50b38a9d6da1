#include "natctl/import.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "natctl/import_model.hpp"
#include "natctl/import_write.hpp"

namespace natctl::importer {
namespace {

std::string_view name_of(Dialect dialect) {
  switch (dialect) {
    case Dialect::vyatta:
      return "import vyatta";
    case Dialect::vyos:
      return "import vyos";
    case Dialect::keepalived:
      return "import keepalived";
    case Dialect::conntrackd:
      return "import conntrackd";
  }
  return "import";
}

/// By a section that only the one of them has.
Dialect kind_of(const std::string& text, Dialect otherwise) {
  Diagnostics unheard("");
  std::vector<Statement> statements;
  parse_statements(text, Comments::conntrackd, unheard, statements);
  for (const Statement& statement : statements) {
    const std::string& name = statement.name();
    if (name == "Sync" || name == "General") return Dialect::conntrackd;
    if (name.starts_with("vrrp_") || name == "global_defs") return Dialect::keepalived;
  }
  return otherwise;
}

/// What has been read of one file, and of whom.
struct Part {
  Part(const File& source) : out(source.name), file(&source) {}
  Diagnostics out;
  const File* file;
  Dialect dialect = Dialect::vyatta;
  Router router;
  bool good = false;
};

void read(Part& part, const Options& options) {
  part.router.file = part.file->name;
  switch (part.dialect) {
    case Dialect::vyatta:
    case Dialect::vyos:
      part.good = read_vyatta(part.file->text, part.out, options.rewrite_masquerade, part.router);
      break;
    case Dialect::keepalived:
      part.good = read_keepalived(part.file->text, part.out, part.router);
      break;
    case Dialect::conntrackd:
      part.good = read_conntrackd(part.file->text, part.out, part.router);
      break;
  }
  if (part.good && part.router.empty()) {
    part.out.error({1, 1}, fmt::format("nothing in it that natctl {} could take over", name_of(part.dialect)));
    part.good = false;
  }
}

/// The parts of one router: with keepalived the connections' replication is another program's file.
struct Source {
  Part* head = nullptr;
  Part* link = nullptr;
};

std::vector<Source> sources_of(std::vector<Part>& parts) {
  std::vector<Source> sources;
  std::size_t links = 0;
  const bool only_links = std::ranges::all_of(parts, [](const Part& p) { return p.dialect == Dialect::conntrackd; });
  for (Part& part : parts)
    if (only_links || part.dialect != Dialect::conntrackd) sources.push_back({&part, nullptr});
  if (only_links) return sources;
  for (Part& part : parts)
    if (part.dialect == Dialect::conntrackd && links < sources.size()) sources[links++].link = &part;
  for (const Source& source : sources)
    if (source.link) source.head->router.links = source.link->router.links;
  for (const Source& source : sources)
    complete_links(source.head->router, (source.link ? source.link : source.head)->out);
  return sources;
}

void check_count(std::vector<Part>& parts, std::size_t sources, bool two_kinds) {
  const std::size_t most = two_kinds ? 4 : 2;
  if (parts.size() > most || sources > 2) parts.back().out.error({1, 1}, "one file too many: a pair has two routers");
}

/// The file as our own reader sees it.
std::vector<std::string> open_points_of(const std::string& config, const std::string& node) {
  std::vector<std::string> result;
  for (const common::Diagnostic& each : common::parse_config(config, "", node).diagnostics)
    if (each.severity == common::Diagnostic::Severity::error) result.push_back(each.text);
  return result;
}

}  // namespace

Imported import_files(Dialect dialect, const std::vector<File>& files, const Options& options) {
  Imported result;
  std::vector<Part> parts(files.begin(), files.end());
  const bool two_kinds = dialect == Dialect::keepalived || dialect == Dialect::conntrackd;
  for (Part& part : parts) {
    part.dialect = two_kinds ? kind_of(part.file->text, dialect) : dialect;
    read(part, options);
  }
  const std::vector<Source> sources = sources_of(parts);
  check_count(parts, sources.size(), two_kinds);
  const bool good =
      !parts.empty() && std::ranges::none_of(parts, [](const Part& p) { return !p.good || p.out.failed(); });
  if (good) {
    Pair pair{sources[0].head->router, std::nullopt};
    if (sources.size() > 1) pair.second = sources[1].head->router;
    merge(pair, sources[0].head->out, sources.size() > 1 ? &sources[1].head->out : nullptr);
    const PlanOfGroups plan = plan_groups(pair, sources[0].head->out);
    if (!plan.links) pair.first.links.clear();
    if (pair.first.empty()) sources[0].head->out.error({1, 1}, "nothing is left of it that could be taken over");
    if (!sources[0].head->out.failed()) result.config = write_config(pair, plan, name_of(dialect));
    if (!result.config.empty()) result.open_points = open_points_of(result.config, pair.first.name);
    // The interfaces have their own names there, not those that our file gives them.
    for (const Source& source : sources) {
      Router own = source.head->router;
      own.name = source.head == sources[0].head ? pair.first.name : pair.second->name;
      result.ifupdown[own.name] = write_ifupdown(own);
      result.networkd[own.name] = write_networkd(own);
    }
  }
  for (Part& part : parts)
    for (common::Diagnostic& each : part.out.take_sorted()) result.diagnostics.push_back(std::move(each));
  return result;
}

}  // namespace natctl::importer
