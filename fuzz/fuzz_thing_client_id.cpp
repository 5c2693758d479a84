// CONNECT's texts and topics from anybody: never crash, and views stay inside of the text.

#include "thing/sign.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto id = brim::thing::parse_client_id(text)) {
        if (id->client_id.find('|') != std::string::npos || id->extended.size() > 32)
            std::abort();
    }
    if (const auto who = brim::thing::parse_username(text)) {
        if (brim::thing::DeviceKey::parse(who->text()) != *who)
            std::abort();
    }
    const brim::thing::DeviceTopic topic = brim::thing::parse_topic(text);
    for (const std::string_view part : {topic.product_key, topic.device_name, topic.name}) {
        if (!part.empty() && (part.data() < text.data() || part.data() + part.size() > text.data() + size))
            std::abort();
    }
    return 0;
}
