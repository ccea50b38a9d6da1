// natctl: the command line of the pair, and the agent that keeps the nftables table. Wires the parts; decides
// nothing.
#include <exception>

#include "natctl/io/agent_shell.hpp"
#include "natctl/io/cli.hpp"
#include "natctl/io/commands.hpp"

int main(int argc, char** argv) {
  try {
    const auto invocation = natctl::io::parse_command_line(argc, argv);
    if (!invocation) return invocation.error();
    if (invocation->command == natctl::io::Command::agent) return natctl::io::run_agent(invocation->options);
    return natctl::io::run_command(*invocation);
  } catch (const std::exception& error) {
    return natctl::io::failed(error.what());
  }
}
