#pragma once
// Who listens on a TCP port, for error messages.

#include <cstdint>
#include <string>

namespace brim::io {

/// "pid 12 (mosquitto)", or empty when it cannot be found out (other user's process, no /proc). Reads /proc:
/// slow.
std::string tcp_port_holder(std::uint16_t port);
/// "pid 12 (mosquitto)"; only the pid when the name cannot be read.
std::string describe_process(std::int64_t pid);

} // namespace brim::io
