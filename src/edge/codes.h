// Result codes of answers: to drivers those of the edge gateway interface (edge-gateway 3.5), to the cloud
// those of its protocol.

#pragma once

namespace brim::edge {

constexpr int code_ok = 0;
constexpr int code_busy = 429;
constexpr int code_bad_parameter = 460;
constexpr int code_invalid_param = 100001;
constexpr int code_timeout = 100006;
constexpr int code_not_registered = 109000;
constexpr int code_offline = 109001;
constexpr int code_no_property = 109002;
constexpr int code_read_only = 109003;
constexpr int code_no_service = 109005;

} // namespace brim::edge
