#pragma once
// The packets of MQTT 3.1, 3.1.1 and 5 as values. Every std::string_view in a decoded packet points into the
// bytes it was decoded from and lives as long as they do; in a packet to encode it must outlive the encode
// call.

#include "base/bytes.h"
#include "base/message.h"

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace brim::mqtt {

/// The protocol level byte of CONNECT.
enum class ProtocolVersion : std::uint8_t { v31 = 3, v311 = 4, v5 = 5 };

/// As people write it: "3.1", "3.1.1" or "5".
constexpr std::string_view version_text(ProtocolVersion version) noexcept {
    switch (version) {
    case ProtocolVersion::v31:
        return "3.1";
    case ProtocolVersion::v311:
        return "3.1.1";
    case ProtocolVersion::v5:
        break;
    }
    return "5";
}

enum class PacketType : std::uint8_t {
    reserved = 0,
    connect = 1,
    connack = 2,
    publish = 3,
    puback = 4,
    pubrec = 5,
    pubrel = 6,
    pubcomp = 7,
    subscribe = 8,
    suback = 9,
    unsubscribe = 10,
    unsuback = 11,
    pingreq = 12,
    pingresp = 13,
    disconnect = 14,
    auth = 15,
};

/// All reason codes of MQTT 5 (section 2.4). 0x00, 0x01 and 0x02 have several names there.
enum class ReasonCode : std::uint8_t {
    success = 0x00,
    normal_disconnection = 0x00,
    granted_qos0 = 0x00,
    granted_qos1 = 0x01,
    granted_qos2 = 0x02,
    disconnect_with_will = 0x04,
    no_matching_subscribers = 0x10,
    no_subscription_existed = 0x11,
    continue_authentication = 0x18,
    re_authenticate = 0x19,
    unspecified_error = 0x80,
    malformed_packet = 0x81,
    protocol_error = 0x82,
    implementation_specific_error = 0x83,
    unsupported_protocol_version = 0x84,
    client_identifier_not_valid = 0x85,
    bad_user_name_or_password = 0x86,
    not_authorized = 0x87,
    server_unavailable = 0x88,
    server_busy = 0x89,
    banned = 0x8A,
    server_shutting_down = 0x8B,
    bad_authentication_method = 0x8C,
    keep_alive_timeout = 0x8D,
    session_taken_over = 0x8E,
    topic_filter_invalid = 0x8F,
    topic_name_invalid = 0x90,
    packet_identifier_in_use = 0x91,
    packet_identifier_not_found = 0x92,
    receive_maximum_exceeded = 0x93,
    topic_alias_invalid = 0x94,
    packet_too_large = 0x95,
    message_rate_too_high = 0x96,
    quota_exceeded = 0x97,
    administrative_action = 0x98,
    payload_format_invalid = 0x99,
    retain_not_supported = 0x9A,
    qos_not_supported = 0x9B,
    use_another_server = 0x9C,
    server_moved = 0x9D,
    shared_subscriptions_not_supported = 0x9E,
    connection_rate_exceeded = 0x9F,
    maximum_connect_time = 0xA0,
    subscription_identifiers_not_supported = 0xA1,
    wildcard_subscriptions_not_supported = 0xA2,
};

constexpr bool is_failure(ReasonCode reason) {
    return static_cast<std::uint8_t>(reason) >= 0x80;
}

/// "packet too large"; never empty, "unknown reason" for a number the standard does not have.
std::string_view reason_text(ReasonCode reason) noexcept;

/// The return code of a 3.1 / 3.1.1 CONNACK (0..5) that comes nearest.
std::uint8_t connack_return_code(ReasonCode reason) noexcept;

/// The MQTT 5 reason nearest to a 3.1 / 3.1.1 CONNACK return code.
ReasonCode reason_from_return_code(std::uint8_t code) noexcept;

/// Name and value, in the order of the packet; names may repeat.
using UserProperties = std::vector<std::pair<std::string_view, std::string_view>>;

struct Connect {
    ProtocolVersion version = ProtocolVersion::v5;
    std::string_view client_id; ///< may be empty
    bool clean_start = true;    ///< "clean session" in 3.x
    std::uint16_t keepalive_s = 0;
    bool has_username = false;
    std::string_view username;
    bool has_password = false;
    ByteView password;
    MessagePtr will; ///< null when there is none; origin and times are not set
    std::uint32_t will_delay_s = 0;
    // MQTT 5 only, with the values that absence means
    std::uint32_t session_expiry_s = 0; ///< 0xFFFFFFFF = never
    std::uint16_t receive_maximum = 65'535;
    std::uint32_t packet_bytes_max = 0; ///< 0 = no limit
    std::uint16_t topic_alias_max = 0;
    bool request_response_information = false;
    bool request_problem_information = true;
    bool has_auth_method = false;
    std::string_view auth_method;
    ByteView auth_data;
    UserProperties user_properties;
};

struct Connack {
    bool session_present = false;
    ReasonCode reason = ReasonCode::success; ///< mapped from and to the return codes of 3.x
    bool has_session_expiry = false;         ///< else as the client asked
    std::uint32_t session_expiry_s = 0;
    std::uint16_t receive_maximum = 65'535;
    std::uint8_t qos_max = 2;
    bool retain_available = true;
    std::uint32_t packet_bytes_max = 0; ///< 0 = no limit
    std::string_view assigned_client_id;
    std::uint16_t topic_alias_max = 0;
    std::string_view reason_text;
    bool wildcard_available = true;
    bool subscription_ids_available = true;
    bool shared_available = true;
    bool has_server_keepalive = false;
    std::uint16_t server_keepalive_s = 0;
    std::string_view response_information;
    std::string_view server_reference;
    bool has_auth_method = false;
    std::string_view auth_method;
    ByteView auth_data;
    UserProperties user_properties;
};

struct Publish {
    std::string_view topic; ///< empty only when topic_alias stands for it (MQTT 5)
    ByteView payload;
    std::uint16_t packet_id = 0; ///< 0 for QoS 0, else not 0
    std::uint8_t qos = 0;
    bool retain = false;
    bool dup = false;
    // MQTT 5 only
    bool payload_is_utf8 = false;
    std::int64_t expiry_s = -1;    ///< -1 = never
    std::uint16_t topic_alias = 0; ///< 0 = none
    std::string_view response_topic;
    ByteView correlation;
    std::string_view content_type;
    std::vector<std::uint32_t> subscription_ids; ///< server to client only
    UserProperties user_properties;
};

/// PUBACK, PUBREC, PUBREL and PUBCOMP.
struct Ack {
    std::uint16_t packet_id = 0;
    ReasonCode reason = ReasonCode::success;
    std::string_view reason_text;
    UserProperties user_properties;
};

enum class RetainHandling : std::uint8_t { send = 0, send_if_new = 1, never = 2 };

struct SubscribeFilter {
    std::string_view filter; ///< as sent, a $share/ prefix included; UTF-8 was checked, section 4.7 was not
    std::uint8_t qos = 0;
    bool no_local = false;
    bool retain_as_published = false;
    RetainHandling retain_handling = RetainHandling::send;
};

struct Subscribe {
    std::uint16_t packet_id = 0;
    std::uint32_t subscription_id = 0; ///< 0 = none
    std::vector<SubscribeFilter> filters;
    UserProperties user_properties;
};

struct Suback {
    std::uint16_t packet_id = 0;
    std::vector<ReasonCode> reasons; ///< one for each filter; 3.x knows 0, 1, 2 and 0x80
    std::string_view reason_text;
    UserProperties user_properties;
};

struct Unsubscribe {
    std::uint16_t packet_id = 0;
    std::vector<std::string_view> filters;
    UserProperties user_properties;
};

struct Unsuback {
    std::uint16_t packet_id = 0;
    std::vector<ReasonCode> reasons; ///< empty in 3.x
    std::string_view reason_text;
    UserProperties user_properties;
};

struct Disconnect {
    ReasonCode reason = ReasonCode::normal_disconnection;
    bool has_session_expiry = false; ///< client to server only
    std::uint32_t session_expiry_s = 0;
    std::string_view reason_text;
    std::string_view server_reference; ///< server to client only
    UserProperties user_properties;
};

/// MQTT 5 only.
struct Auth {
    ReasonCode reason = ReasonCode::success;
    std::string_view auth_method;
    ByteView auth_data;
    std::string_view reason_text;
    UserProperties user_properties;
};

} // namespace brim::mqtt
