#include "natctl/io/daemon_status.hpp"

#include <fmt/format.h>

#include <utility>

#include "common/io/notify_socket.hpp"

namespace natctl::io {

std::string socket_of(const std::string& run_dir, std::string_view daemon) {
  return fmt::format("{}/{}.sock", run_dir, daemon);
}

Answer status_of(const std::string& run_dir, std::string_view daemon) {
  auto reply = common::io::ask(socket_of(run_dir, daemon), {.verb = "status"}, kStatusTimeout);
  if (!reply) return {std::nullopt, reply.error().text};
  if (!reply->ok) return {std::nullopt, reply->error};
  return {std::move(reply->body), {}};
}

}  // namespace natctl::io
