#pragma once
// A listener for Prometheus, on a loopback address only: what it says is for the machine itself, or for a proxy that
// knows whom it lets in.
#include <functional>
#include <string>

namespace natctl::io {

/// Answers each GET of /metrics with the text, until it is ended by a signal. The exit code.
int serve_metrics(const std::string& address, const std::function<std::string()>& text);

}  // namespace natctl::io
