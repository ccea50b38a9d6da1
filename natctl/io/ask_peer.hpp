#pragma once
// Asks the other router, by way of both syncd, how it is set up.
#include <string>

#include "common/result.hpp"
#include "natctl/peer_papers.hpp"

namespace natctl::io {

common::Result<PeerPapers> papers_of_peer(const std::string& run_dir);

}  // namespace natctl::io
