#include "natctl/io/terminal.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

namespace natctl::io {

Columns terminal_columns() {
  winsize size{};
  if (isatty(STDOUT_FILENO) == 0 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return {};
  return size.ws_col;
}

}  // namespace natctl::io
