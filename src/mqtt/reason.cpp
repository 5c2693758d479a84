#include "mqtt/packet.h"

#include "mqtt/codec.h"

namespace brim::mqtt {

std::string_view reason_text(ReasonCode reason) noexcept {
    switch (reason) {
    case ReasonCode::success:
        return "success";
    case ReasonCode::granted_qos1:
        return "granted QoS 1";
    case ReasonCode::granted_qos2:
        return "granted QoS 2";
    case ReasonCode::disconnect_with_will:
        return "disconnect with will";
    case ReasonCode::no_matching_subscribers:
        return "no matching subscribers";
    case ReasonCode::no_subscription_existed:
        return "no subscription existed";
    case ReasonCode::continue_authentication:
        return "continue authentication";
    case ReasonCode::re_authenticate:
        return "re-authenticate";
    case ReasonCode::unspecified_error:
        return "unspecified error";
    case ReasonCode::malformed_packet:
        return "malformed packet";
    case ReasonCode::protocol_error:
        return "protocol error";
    case ReasonCode::implementation_specific_error:
        return "implementation specific error";
    case ReasonCode::unsupported_protocol_version:
        return "unsupported protocol version";
    case ReasonCode::client_identifier_not_valid:
        return "client identifier not valid";
    case ReasonCode::bad_user_name_or_password:
        return "bad user name or password";
    case ReasonCode::not_authorized:
        return "not authorized";
    case ReasonCode::server_unavailable:
        return "server unavailable";
    case ReasonCode::server_busy:
        return "server busy";
    case ReasonCode::banned:
        return "banned";
    case ReasonCode::server_shutting_down:
        return "server shutting down";
    case ReasonCode::bad_authentication_method:
        return "bad authentication method";
    case ReasonCode::keep_alive_timeout:
        return "keep alive timeout";
    case ReasonCode::session_taken_over:
        return "session taken over";
    case ReasonCode::topic_filter_invalid:
        return "topic filter invalid";
    case ReasonCode::topic_name_invalid:
        return "topic name invalid";
    case ReasonCode::packet_identifier_in_use:
        return "packet identifier in use";
    case ReasonCode::packet_identifier_not_found:
        return "packet identifier not found";
    case ReasonCode::receive_maximum_exceeded:
        return "receive maximum exceeded";
    case ReasonCode::topic_alias_invalid:
        return "topic alias invalid";
    case ReasonCode::packet_too_large:
        return "packet too large";
    case ReasonCode::message_rate_too_high:
        return "message rate too high";
    case ReasonCode::quota_exceeded:
        return "quota exceeded";
    case ReasonCode::administrative_action:
        return "administrative action";
    case ReasonCode::payload_format_invalid:
        return "payload format invalid";
    case ReasonCode::retain_not_supported:
        return "retain not supported";
    case ReasonCode::qos_not_supported:
        return "QoS not supported";
    case ReasonCode::use_another_server:
        return "use another server";
    case ReasonCode::server_moved:
        return "server moved";
    case ReasonCode::shared_subscriptions_not_supported:
        return "shared subscriptions not supported";
    case ReasonCode::connection_rate_exceeded:
        return "connection rate exceeded";
    case ReasonCode::maximum_connect_time:
        return "maximum connect time";
    case ReasonCode::subscription_identifiers_not_supported:
        return "subscription identifiers not supported";
    case ReasonCode::wildcard_subscriptions_not_supported:
        return "wildcard subscriptions not supported";
    }
    return "unknown reason";
}

std::uint8_t connack_return_code(ReasonCode reason) noexcept {
    switch (reason) {
    case ReasonCode::success:
        return 0;
    case ReasonCode::unsupported_protocol_version:
        return 1;
    case ReasonCode::client_identifier_not_valid:
        return 2;
    case ReasonCode::bad_user_name_or_password:
        return 4;
    case ReasonCode::not_authorized:
    case ReasonCode::banned:
    case ReasonCode::bad_authentication_method:
        return 5;
    default:
        return 3;
    }
}

ReasonCode reason_from_return_code(std::uint8_t code) noexcept {
    switch (code) {
    case 0:
        return ReasonCode::success;
    case 1:
        return ReasonCode::unsupported_protocol_version;
    case 2:
        return ReasonCode::client_identifier_not_valid;
    case 4:
        return ReasonCode::bad_user_name_or_password;
    case 5:
        return ReasonCode::not_authorized;
    default:
        return ReasonCode::server_unavailable;
    }
}

namespace {

/// Section 3.14.2.1 tells who may send which.
bool disconnect_reason_fits(ReasonCode reason, Sender from) noexcept {
    switch (reason) {
    case ReasonCode::normal_disconnection:
    case ReasonCode::unspecified_error:
    case ReasonCode::malformed_packet:
    case ReasonCode::protocol_error:
    case ReasonCode::implementation_specific_error:
    case ReasonCode::topic_name_invalid:
    case ReasonCode::receive_maximum_exceeded:
    case ReasonCode::topic_alias_invalid:
    case ReasonCode::packet_too_large:
    case ReasonCode::message_rate_too_high:
    case ReasonCode::quota_exceeded:
    case ReasonCode::administrative_action:
    case ReasonCode::payload_format_invalid:
        return true;
    case ReasonCode::disconnect_with_will:
        return from == Sender::client;
    case ReasonCode::not_authorized:
    case ReasonCode::server_busy:
    case ReasonCode::server_shutting_down:
    case ReasonCode::keep_alive_timeout:
    case ReasonCode::session_taken_over:
    case ReasonCode::topic_filter_invalid:
    case ReasonCode::retain_not_supported:
    case ReasonCode::qos_not_supported:
    case ReasonCode::use_another_server:
    case ReasonCode::server_moved:
    case ReasonCode::shared_subscriptions_not_supported:
    case ReasonCode::connection_rate_exceeded:
    case ReasonCode::maximum_connect_time:
    case ReasonCode::subscription_identifiers_not_supported:
    case ReasonCode::wildcard_subscriptions_not_supported:
        return from == Sender::server;
    default:
        return false;
    }
}

bool connack_reason_fits(ReasonCode reason) noexcept {
    switch (reason) {
    case ReasonCode::success:
    case ReasonCode::unspecified_error:
    case ReasonCode::malformed_packet:
    case ReasonCode::protocol_error:
    case ReasonCode::implementation_specific_error:
    case ReasonCode::unsupported_protocol_version:
    case ReasonCode::client_identifier_not_valid:
    case ReasonCode::bad_user_name_or_password:
    case ReasonCode::not_authorized:
    case ReasonCode::server_unavailable:
    case ReasonCode::server_busy:
    case ReasonCode::banned:
    case ReasonCode::bad_authentication_method:
    case ReasonCode::topic_name_invalid:
    case ReasonCode::packet_too_large:
    case ReasonCode::quota_exceeded:
    case ReasonCode::payload_format_invalid:
    case ReasonCode::retain_not_supported:
    case ReasonCode::qos_not_supported:
    case ReasonCode::use_another_server:
    case ReasonCode::server_moved:
    case ReasonCode::connection_rate_exceeded:
        return true;
    default:
        return false;
    }
}

bool receipt_reason_fits(ReasonCode reason) noexcept {
    switch (reason) {
    case ReasonCode::success:
    case ReasonCode::no_matching_subscribers:
    case ReasonCode::unspecified_error:
    case ReasonCode::implementation_specific_error:
    case ReasonCode::not_authorized:
    case ReasonCode::topic_name_invalid:
    case ReasonCode::packet_identifier_in_use:
    case ReasonCode::quota_exceeded:
    case ReasonCode::payload_format_invalid:
        return true;
    default:
        return false;
    }
}

} // namespace

bool reason_fits(PacketType type, ReasonCode reason, Sender from) noexcept {
    switch (type) {
    case PacketType::connack:
        return connack_reason_fits(reason);
    case PacketType::puback:
    case PacketType::pubrec:
        return receipt_reason_fits(reason);
    case PacketType::pubrel:
    case PacketType::pubcomp:
        return reason == ReasonCode::success || reason == ReasonCode::packet_identifier_not_found;
    case PacketType::disconnect:
        return disconnect_reason_fits(reason, from);
    default:
        return false;
    }
}

ReasonCode fitting_reason(PacketType type, ReasonCode reason) noexcept {
    if (reason_fits(type, reason, Sender::server))
        return reason;
    return is_failure(reason) ? ReasonCode::unspecified_error : ReasonCode::success;
}

} // namespace brim::mqtt
