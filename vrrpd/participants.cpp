#include "vrrpd/participants.hpp"

#include <fmt/core.h>

namespace vrrpd {

using common::Role;

void Participants::expect(bool syncd, bool agent) {
  expect_syncd_ = syncd;
  expect_agent_ = agent;
}

void Participants::connected(ClientId client, bool may_participate) {
  clients_[client] = Client{may_participate, false, Role::observer};
}

std::optional<Role> Participants::closed(ClientId client) {
  const auto found = clients_.find(client);
  if (found == clients_.end()) return std::nullopt;
  clients_.erase(found);
  if (syncd_ == client) {
    syncd_.reset();
    return Role::syncd;
  }
  if (agent_ == client) {
    agent_.reset();
    return Role::agent;
  }
  return std::nullopt;
}

bool Participants::expected(Role role) const {
  switch (role) {
    case Role::syncd:
      return expect_syncd_;
    case Role::agent:
      return expect_agent_;
    case Role::observer:
    case Role::control:
      break;
  }
  return false;
}

std::optional<Role> Participants::hello(ClientId client, const common::Hello& hello, Actions& out) {
  const auto found = clients_.find(client);
  if (found == clients_.end()) return std::nullopt;
  Client& who = found->second;
  if (hello.version != common::kNotifyVersion) {
    out.push_back(
        CloseClient{client, fmt::format("speaks version {} of the notify protocol, this is version {}; install "
                                        "the same release of all programs",
                                        hello.version, common::kNotifyVersion)});
    return std::nullopt;
  }
  const bool participant = hello.role == Role::syncd || hello.role == Role::agent;
  if (participant && !who.may_participate) {
    out.push_back(CloseClient{
        client, fmt::format("may observe but not be {}: run it as the user of vrrpd", common::to_string(hello.role))});
    return std::nullopt;
  }
  if (who.greeted) return std::nullopt;  // a second hello changes nothing
  who.greeted = true;
  // A participant that the configuration does not name is nobody to wait for.
  who.role = participant && !expected(hello.role) ? Role::observer : hello.role;
  std::optional<ClientId>* slot = who.role == Role::syncd ? &syncd_ : who.role == Role::agent ? &agent_ : nullptr;
  if (slot == nullptr) return who.role;
  // A restarted participant may be here before the end of its predecessor was noticed: the newer one is the living.
  if (*slot && **slot != client) {
    const ClientId old = **slot;
    clients_.erase(old);
    out.push_back(CloseClient{old, fmt::format("replaced by a newer connection of {}", common::to_string(who.role))});
  }
  *slot = client;
  return who.role;
}

std::optional<ClientId> Participants::holder(Role role) const {
  switch (role) {
    case Role::syncd:
      return syncd_;
    case Role::agent:
      return agent_;
    case Role::observer:
    case Role::control:
      break;
  }
  return std::nullopt;
}

bool Participants::may_command(ClientId client) const {
  const auto found = clients_.find(client);
  return found != clients_.end() && found->second.may_participate;
}

void Participants::send(Role role, const common::NotifyMessage& message, Actions& out) const {
  if (const auto client = holder(role)) out.push_back(SendMessage{*client, message});
}

void Participants::broadcast(const common::NotifyMessage& message, Actions& out) const {
  for (const auto& [id, client] : clients_)
    if (client.role != Role::control) out.push_back(SendMessage{id, message});
}

}  // namespace vrrpd
