// SCRAM messages and verifiers as they might come. Holds: nothing breaks, what is read is written back the
// same, and no client-final that was not made with the password is taken.
#include "broker/scram.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

using namespace brim;
using namespace brim::broker;

namespace {

constexpr std::string_view own_nonce = "0123456789abcdefghij";

/// Cheap to match, and nobody's: its keys are made up.
ScramVerifier made_up() {
    ScramVerifier verifier;
    verifier.iterations = ScramLimits::iterations_min;
    verifier.salt = Bytes(16, 's');
    verifier.stored_key = Bytes(32, 'k');
    verifier.server_key = Bytes(32, 'v');
    return verifier;
}

void serve(ByteView first, ByteView final) {
    auto server = ScramServer::begin(first);
    if (!server)
        return;
    if (!is_prepared(server->user()) || server->user().size() > ScramLimits::name_bytes_max)
        std::abort();
    if (server->challenge(made_up(), own_nonce).size() > ScramLimits::message_bytes_max)
        std::abort();
    if (server->finish(final))
        std::abort();
}

/// Of a client that runs with iterations low enough to fuzz.
void ask(ByteView server_first, ByteView server_final) {
    auto client = ScramClient::make("user", "pencil", own_nonce);
    if (!client)
        std::abort();
    const std::size_t at = server_first.rfind(",i=");
    const bool is_cheap = at == ByteView::npos || server_first.size() - at < 8;
    if (is_cheap && client->answer(server_first) && client->verify(server_final))
        std::abort();
}

void read(ByteView text) {
    const auto verifier = parse_scram_verifier(text);
    if (verifier && scram_verifier_text(*verifier) != text)
        std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2)
        return 0;
    const ByteView input(reinterpret_cast<const char*>(data) + 2, size - 2);
    const std::size_t cut = std::min<std::size_t>(data[1], input.size());
    const ByteView one = input.substr(0, cut);
    const ByteView two = input.substr(cut);
    switch (data[0] & 3) {
    case 0:
        serve(one, two);
        break;
    case 1: // the second message as it should begin
        serve("n,,n=user,r=12345678", Bytes("c=biws,r=12345678").append(own_nonce).append(input));
        break;
    case 2:
        ask(Bytes("r=").append(own_nonce).append(one), two);
        break;
    default:
        read(input);
        read(Bytes("SCRAM-SHA-256$").append(input));
    }
    return 0;
}
