#include "natctl/io/ask_peer.hpp"

#include <utility>

#include "common/io/notify_socket.hpp"

namespace natctl::io {
namespace {

using namespace std::chrono_literals;

/// Of the longest file over a slow link; a peer that does not answer is given up by syncd much earlier.
constexpr common::Duration kTimeout = 20s;

}  // namespace

common::Result<PeerPapers> papers_of_peer(const std::string& run_dir) {
  const auto reply = common::io::ask(run_dir + "/syncd.sock", {.verb = "peer.papers"}, kTimeout);
  if (!reply) return std::unexpected(reply.error());
  if (!reply->ok) return common::fail(reply->error);
  if (auto papers = read_papers(reply->body)) return std::move(*papers);
  return common::fail("syncd answers with something that is no description of a router");
}

}  // namespace natctl::io
