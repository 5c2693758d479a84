// What follows the host's yes to a CONNECT: the session, CONNACK and what it promises.

#include "mqtt/internal/core.h"

#include <algorithm>

namespace brim::mqtt {

bool Broker::Core::refuse_will(ConnId id, const Admission& admission, Mono now) {
    Conn& conn = *conns_.find(id);
    PendingConnect& pending = *conn.more->pending;
    if (!pending.will)
        return false;
    if (!admission.will_allowed) {
        pending.will.reset();
        return false;
    }
    const bool is_qos_too_high = pending.will->qos > admission.qos_max;
    const bool is_retain_refused = pending.will->retain && !admission.retain_available;
    if (!is_qos_too_high && !is_retain_refused)
        return false;
    if (conn.version == ProtocolVersion::v5) {
        refuse(
            id, is_qos_too_high ? ReasonCode::qos_not_supported : ReasonCode::retain_not_supported, {}, now
        );
        return true;
    }
    auto will = std::make_shared<Message>(*pending.will); // 3.x cannot be told: what we can do of it is done
    will->qos = std::min(will->qos, admission.qos_max);
    will->retain = will->retain && admission.retain_available;
    pending.will = std::move(will);
    return false;
}

void Broker::Core::accept(ConnId id, const Admission& admission, Mono now) {
    const Turn turn(*this, now);
    Conn* conn = conns_.find(id);
    if (conn == nullptr || conn->stage != Stage::waiting || !conn->more || !conn->more->pending)
        return;
    BRIM_ASSERT(!admission.session_key.empty(), "an admitted session has a key");
    if (AuthExchange* auth = conn->auth(); auth != nullptr)
        auth->turn = AuthTurn::over;
    if (is_too_early(*conn, conn->more->backlog)) {
        refuse(id, ReasonCode::protocol_error, {}, now);
        return;
    }
    if (refuse_will(id, admission, now))
        return;
    // Before the session is touched. A client that has room for CONNACK has it for all answers of fixed size.
    if (conn->packet_bytes_max != 0) {
        scratch_.clear();
        encode_connack(scratch_, connack_for(*conn, *conn->more->pending, admission, false), conn->version);
        if (scratch_.size() > conn->packet_bytes_max) {
            refuse(id, ReasonCode::packet_too_large, {}, now); // [MQTT-3.1.2-24]
            return;
        }
    }
    if (refuse_new(id, admission, now) || (journal_ != nullptr && refuse_unkept(id, admission, now)))
        return;
    const std::unique_ptr<PendingConnect> pending = std::move(conn->more->pending);
    const JournalNumber before = written();
    bool is_present = false;
    const SessionId session_id = attach(id, *pending, admission, is_present, now);
    conn = conns_.find(id);
    if (conn == nullptr)
        return;
    if (session_id == 0) {
        refuse(id, ReasonCode::quota_exceeded, {}, now);
        return;
    }
    const Session& session = *sessions_.find(session_id);
    conn->stage = Stage::up;
    conn->session = session_id;
    conn->receive_maximum = std::min(pending->receive_maximum, window_max());
    conn->alias_out_max = std::min(pending->topic_alias_max, limits_.topic_alias_max);
    conn->last_packet = now;
    conn->up_since_s = static_cast<std::uint32_t>(ms_of(now) / 1'000);
    set_rate(*conn, admission);
    ++stats_.connections;
    conn->keepalive_s = keepalive_for(conn->version, *pending, admission);
    scratch_.clear();
    encode_connack(scratch_, connack_for(*conn, *pending, admission, is_present), conn->version);
    send_when_stable(id, written_since(before), scratch_);
    // The entry of CONNECT's deadline goes on as that of keep-alive, unless that is sooner.
    if (conn->keepalive_s != 0 && keepalive_due(*conn) < now + limits_.connect_wait_max)
        conn_timers_.push(keepalive_due(*conn), id);
    host_.on_up(view(session));
    if (conns_.find(id) == nullptr)
        return;
    pump(session_id, now);
    resumes_.push_back(id);
}

std::uint16_t Broker::Core::keepalive_for(
    ProtocolVersion version, const PendingConnect& pending, const Admission& admission
) const {
    if (version != ProtocolVersion::v5)
        return pending.keepalive_s;
    const std::uint16_t wanted = admission.keepalive_s != 0 ? admission.keepalive_s : pending.keepalive_s;
    return wanted == 0 ? limits_.keepalive_s_max : std::min(wanted, limits_.keepalive_s_max);
}

std::uint32_t Broker::Core::session_expiry_for(ProtocolVersion version, const PendingConnect& pending) const {
    if (version == ProtocolVersion::v5)
        return std::min(pending.session_expiry_s, limits_.session_expiry_s_max);
    return pending.clean_start ? 0 : limits_.session_expiry_s_max;
}

Connack Broker::Core::connack_for(
    const Conn& conn, const PendingConnect& pending, const Admission& admission, bool present
) const {
    const ProtocolVersion version = conn.version;
    Connack connack;
    connack.session_present = present;
    if (version != ProtocolVersion::v5)
        return connack;
    connack.server_keepalive_s = keepalive_for(version, pending, admission);
    connack.has_server_keepalive = connack.server_keepalive_s != pending.keepalive_s;
    connack.session_expiry_s = session_expiry_for(version, pending);
    connack.has_session_expiry = connack.session_expiry_s != pending.session_expiry_s;
    connack.receive_maximum = limits_.inflight_count_max;
    connack.qos_max = admission.qos_max;
    connack.retain_available = admission.retain_available;
    connack.wildcard_available = admission.wildcard_available;
    connack.subscription_ids_available = admission.subscription_ids_available;
    connack.packet_bytes_max = limits_.packet_bytes_max;
    connack.topic_alias_max = limits_.topic_alias_max;
    if (pending.client_id.empty())
        connack.assigned_client_id = admission.assigned_client_id;
    if (const AuthExchange* auth = conn.auth(); auth != nullptr) {
        connack.has_auth_method = true; // [MQTT-4.12.0-5]
        connack.auth_method = auth->method;
        connack.auth_data = admission.auth_data;
    }
    return connack;
}

} // namespace brim::mqtt
