#pragma once
#include <string>

#include "natctl/agent.hpp"

namespace natctl {

/// The JSON of a Reply of the agent to the verb "status".
std::string to_json(const AgentStatus& status);

}  // namespace natctl
