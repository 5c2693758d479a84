#pragma once
// One message on its way to a remote broker, as it lies in the bridge's log. Layout (big-endian): u8 format
// (1), u8 QoS, u8 flags (1 retain, 2 payload is UTF-8), u64 wall time in ms when it was accepted, u64 expiry
// in s (all ones: never), u16 + topic at the remote broker, u16 + content type, u16 + response topic,
// u16 + correlation, u16 count of user properties, each u16 + name, u16 + value; payload to the end.

#include "base/message.h"

namespace brim::broker {

/// `message.topic` is already the remote one. At most 65,535 bytes in each text, as MQTT has it.
Bytes encode_bridge_record(const Message& message);
/// Errc::unsupported for a newer format, Errc::malformed for bytes that are no record.
Result<Message> decode_bridge_record(ByteView record);

/// Lowers the expiry by the time the message waited. False when it is over. A
/// clock that was set back costs no message.
bool take_off_age(Message& message, WallTime now);

} // namespace brim::broker
