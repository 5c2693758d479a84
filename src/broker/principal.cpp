#include "broker/principal.h"

#include "base/bytes.h"

#include <algorithm>

namespace brim::broker {

std::string principal_text(const Principal& who) {
    switch (who.proof) {
    case Proof::none:
        return "anonymous";
    case Proof::unsafe:
        return "unsafe-anonymous";
    case Proof::password:
    case Proof::scram:
        return "user " + who.name;
    case Proof::certificate:
        return "certificate " + who.name;
    case Proof::token:
        return "token " + who.name;
    }
    return "anonymous";
}

Principal principal_of(std::string_view text, std::string_view client_id) {
    Principal who;
    who.client_id = client_id;
    if (text == "unsafe-anonymous") {
        who.proof = Proof::unsafe;
        return who;
    }
    const std::size_t blank = text.find(' ');
    const std::string_view word = text.substr(0, blank);
    if (blank == std::string_view::npos || (word != "user" && word != "certificate" && word != "token"))
        return who;
    who.proof = word == "user" ? Proof::password : word == "token" ? Proof::token : Proof::certificate;
    who.name = text.substr(blank + 1);
    return who;
}

std::string session_key(const Principal& who) {
    return who.name.empty() ? who.client_id : who.name + '\x1f' + who.client_id;
}

bool is_plain_name(std::string_view text) noexcept {
    constexpr std::size_t bytes_max = 256;
    if (text.empty() || text.size() > bytes_max || text.front() == '$' || !is_mqtt_utf8(text))
        return false;
    return std::none_of(text.begin(), text.end(), [](char each) {
        const auto byte = static_cast<unsigned char>(each);
        return each == '+' || each == '#' || each == '/' || byte < 0x20 || byte == 0x7F;
    });
}

} // namespace brim::broker
