#pragma once
// What our file says about groups, which none of theirs says in this form.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "natctl/import_model.hpp"

namespace natctl::importer {

struct PlannedGroup {
  std::string name;
  std::vector<std::size_t> instances;     ///< of the first router
  std::map<std::string, int> priorities;  ///< by node, where they are not the node's own
  std::vector<std::string> protects;
  std::vector<Hook> hooks;
  std::vector<Track> tracks;
};

struct PlanOfGroups {
  std::vector<PlannedGroup> groups;
  std::optional<int> first_priority, second_priority;
  std::vector<std::string> sync_groups;  ///< empty: all
  bool links = false;                    ///< there is one, and both addresses of it are known
  std::optional<int> priority_of(bool second) const { return second ? second_priority : first_priority; }
};

/// Settles which instances move together, and gives the rules their groups.
PlanOfGroups plan_groups(Pair& pair, Diagnostics& out);

std::string write_config(const Pair& pair, const PlanOfGroups& plan, std::string_view made_by);
std::string write_ifupdown(const Router& router);
std::string write_networkd(const Router& router);
/// A scalar as YAML reads it back.
std::string yaml(const std::string& text);
std::string yaml_list(const std::vector<std::string>& items);

}  // namespace natctl::importer
