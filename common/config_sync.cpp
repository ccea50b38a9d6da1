#include <fmt/format.h>

#include <algorithm>

#include "common/config_parse.hpp"
#include "common/sync_group.hpp"

namespace common {
namespace {

/// Every datagram goes over every link at once: more links would only multiply the load.
constexpr std::size_t kMostLinks = 4;
/// Of so many groups the two routers can always tell each other in a single datagram, whatever its path.
constexpr std::size_t kMostGroups = 24;

void read_sync_groups(const Reader& reader, const Draft& draft, SyncConfig& sync) {
  const std::span<const Setting> items = reader.list();
  if (reader.value.is(Setting::Kind::list) && items.empty())
    reader.error("name at least one group, or leave the key out for all");
  for (const Setting& item : items) {
    std::string name;
    read_group_name(reader.item(item), draft, name);
    if (name.empty()) continue;
    if (std::ranges::find(sync.groups, name) != sync.groups.end())
      reader.item(item).error(fmt::format("{} stands here twice", quoted(name)));
    sync.groups.push_back(name);
  }
}

void read_multicast(const Reader& reader, SyncLink& link) {
  IpAddress group;
  if (!reader.address(group)) return;
  if (!group.is_multicast())
    return reader.error(fmt::format("{} is no multicast address, such as 225.0.0.50 or ff02::50", group.to_string()));
  if (!leaves_the_router(group))
    return reader.error(fmt::format("what is sent to {} never leaves a router; take one of ff02::/16, such as ff02::50",
                                    group.to_string()));
  link.multicast = group;
}

void read_links(const Reader& reader, Draft& draft, SyncConfig& sync) {
  const std::span<const Setting> items = reader.list();
  if (reader.value.is(Setting::Kind::list) && items.empty()) reader.error("at least one link is needed");
  if (items.size() > kMostLinks) reader.error(fmt::format("more than {} links", kMostLinks));
  for (const Setting& item : items) {
    Section section(item, reader.name, reader.out);
    SyncLink link;
    section.with_required("interface", [&](const Reader& r) { read_interface(r, draft, link.interface); });
    section.with("multicast", [&](const Reader& r) { read_multicast(r, link); });
    section.finish();
    if (link.interface.empty()) continue;
    if (std::ranges::find(sync.links, link.interface, &SyncLink::interface) != sync.links.end())
      reader.item(item).error(fmt::format("{} stands here twice", quoted(link.interface)));
    draft.links.push_back({link.interface, item.at, link.multicast});
    sync.links.push_back(link);
  }
}

void read_security(Section& section, SyncConfig& sync) {
  std::string security;
  section.path("key_file", sync.key_file);
  section.with("security", [&](const Reader& r) {
    bool none = false;
    if (r.choice<bool>(none, {{"none", true}})) security = "none";
  });
  if (section.has("key_file") && section.has("security"))
    section.out().error(section.at(), section.name() + ": give either key_file or `security: none`");
  if (!section.has("key_file") && !section.has("security"))
    section.out().error(section.at(), section.name() +
                                          ": 'key_file' is missing (make one with natctl keygen); "
                                          "write `security: none` to do without");
}

}  // namespace

void read_sync(Section& root, Draft& draft) {
  root.with("sync", [&](const Reader& r) {
    SyncConfig& sync = draft.config.sync.emplace();
    draft.sync_at = r.value.at;
    Section section(r.value, r.name, r.out);
    section.with("groups", [&](const Reader& each) { read_sync_groups(each, draft, sync); });
    if (!section.has("groups"))
      for (const std::string_view name : draft.group_names()) sync.groups.emplace_back(name);
    if (const std::size_t groups = draft.group_names().size(); groups > kMostGroups)
      r.out.error(r.value.at, fmt::format("sync: there are {} groups, and {} at most can be replicated; put instances "
                                          "that belong together into one group",
                                          groups, kMostGroups));
    section.with_required("links", [&](const Reader& each) { read_links(each, draft, sync); });
    int port = sync.port;
    section.integer("port", port, 1, 65535);
    sync.port = static_cast<std::uint16_t>(port);
    read_security(section, sync);
    section.with("commit", [&](const Reader& each) {
      each.choice<CommitPolicy>(sync.commit,
                                {{"continuous", CommitPolicy::continuous}, {"on-takeover", CommitPolicy::on_takeover}});
    });
    read_sync_masks(section, sync.masks);
    section.with("filter", [&](const Reader& each) { read_sync_filter(each, draft, sync.masks, sync.filter); });
    section.finish();
    if (!root.has("vrrp"))
      r.out.error(r.value.at, "sync: needs the section vrrp, whose groups say whose connections to send");
  });
}

}  // namespace common
