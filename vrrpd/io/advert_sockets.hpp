#pragma once
// One raw socket per interface and family for VRRP packets, opened anew when the interface was deleted and created
// again.
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include "common/io/loop.hpp"
#include "common/io/unique_fd.hpp"
#include "vrrpd/engine.hpp"
#include "vrrpd/io/counters.hpp"
#include "vrrpd/io/links.hpp"

namespace vrrpd::io {

class AdvertSockets {
 public:
  using Handler = std::function<void(AdvertReceived advert)>;
  AdvertSockets(common::io::Loop& loop, Counters& counters, Handler handler);
  ~AdvertSockets();
  AdvertSockets(const AdvertSockets&) = delete;
  AdvertSockets& operator=(const AdvertSockets&) = delete;

  /// What attach() opens from now on. Closes the sockets of all other interfaces and families.
  void want(const Links::Watched& interfaces);
  /// Nothing happens when they are open on this very interface already. index 0: closes them.
  void attach(const std::string& interface, int index);
  /// For adverts with the MAC of this interface, from when it is up until it is not.
  void attach_sender(const std::string& device, int index);
  void detach_sender(const std::string& device);
  void send(const SendAdvert& advert);
  /// Hands over everything that has arrived up to now.
  void poll();

 private:
  using Key = std::pair<std::string, common::Family>;
  struct Socket {
    common::io::UniqueFd fd;
    int index = 0;
    std::uint32_t overflows = 0;  ///< as the kernel counts them for this socket
    int last_error = 0;           ///< of sending: said once, and again when it changes
  };
  void close(Socket& socket);
  void attach(const Key& key, Socket& socket, int index);
  void read(const Key& key);
  bool read_one(const Key& key, Socket& socket);

  common::io::Loop& loop_;
  Counters& counters_;
  Handler handler_;
  Socket* sender(const SendAdvert& advert);

  std::map<Key, Socket> sockets_;
  std::map<Key, Socket> senders_;
  common::Bytes buffer_;  ///< for one packet of the longest kind
};

}  // namespace vrrpd::io
