// Any bytes as HTTP requests: cut in two anywhere they give the same requests or the same refusal as in one
// piece, nothing is larger than its limit, and no path escapes its folder.
#include "io/http_parser.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

namespace {

constexpr std::size_t body_max = 1024;

/// What a server would see, as one text.
std::string run(brim::ByteView wire, std::size_t split) {
    brim::io::HttpParser parser(brim::io::HttpLimits{.body_bytes_max = body_max});
    using State = brim::io::HttpParser::State;
    std::string seen;
    for (auto part : {wire.substr(0, split), wire.substr(split)}) {
        while (!part.empty() || parser.state() == State::head_end) {
            if (parser.state() == State::head_end)
                parser.set_body_max(body_max);
            const auto used = parser.feed(part);
            if (used > part.size())
                std::abort();
            part.remove_prefix(used);
            if (parser.state() == State::refused)
                return seen + "refused " + std::to_string(parser.refusal().status);
            if (parser.state() != State::done)
                continue;
            const auto request = parser.take();
            const bool tame = request.path.find("/../") == std::string::npos &&
                              !request.path.ends_with("/..") && request.path.find('\0') == std::string::npos;
            if (!tame || request.body.size() > body_max)
                std::abort();
            seen += request.method + " " + request.path + "\n" + request.body + "\n";
            for (const auto& [name, value] : request.headers)
                seen += name + "=" + value + "\n";
        }
    }
    return seen;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    // Longer input meets the bounds on framing, which are judged at the end of each piece.
    if (size < 2 || size > 8'192)
        return 0;
    const brim::ByteView wire(reinterpret_cast<const char*>(data) + 2, size - 2);
    const std::size_t split = (data[0] * 256U + data[1]) % (wire.size() + 1);
    if (run(wire, wire.size()) != run(wire, split))
        std::abort();
    return 0;
}
