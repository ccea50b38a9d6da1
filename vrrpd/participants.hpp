#pragma once
// Who is connected to vrrpd.sock, and as what. Decides nothing about groups: it lets in, and it passes on.
#include <map>
#include <optional>
#include <string>

#include "common/notify.hpp"
#include "vrrpd/engine.hpp"

namespace vrrpd {

class Participants {
 public:
  /// `syncd`, `agent`: the configuration names them, so that one who connects as such is one.
  void expect(bool syncd, bool agent);

  void connected(ClientId client, bool may_participate);
  /// What was lost with it; none: an observer, or a stranger.
  std::optional<common::Role> closed(ClientId client);
  /// None: refused (and CloseClient sent), or greeted twice.
  std::optional<common::Role> hello(ClientId client, const common::Hello& hello, Actions& out);

  bool present(common::Role role) const { return holder(role).has_value(); }
  bool is(ClientId client, common::Role role) const { return holder(role) == client; }
  bool may_command(ClientId client) const;

  /// To the participant, if it is there.
  void send(common::Role role, const common::NotifyMessage& message, Actions& out) const;
  /// To everybody but those that only came to ask.
  void broadcast(const common::NotifyMessage& message, Actions& out) const;

 private:
  struct Client {
    bool may_participate = false;
    bool greeted = false;
    common::Role role = common::Role::observer;
  };
  std::optional<ClientId> holder(common::Role role) const;
  bool expected(common::Role role) const;

  std::map<ClientId, Client> clients_;
  std::optional<ClientId> syncd_, agent_;
  bool expect_syncd_ = false, expect_agent_ = false;
};

}  // namespace vrrpd
