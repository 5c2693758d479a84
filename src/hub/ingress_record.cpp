#include "hub/ingress_record.h"

#include <bit>

namespace brim::hub {

namespace {

constexpr std::uint8_t record_form = 3;       // kind run
constexpr std::uint8_t record_form_told = 2;  // with the history flag
constexpr std::uint8_t record_form_plain = 1; // neither; older programs can read it
constexpr std::size_t record_run_bytes = 16;
constexpr std::uint32_t samples_max = 1'000;
constexpr std::uint8_t flag_replay = 1;
constexpr std::uint8_t flag_mark = 2;
constexpr std::uint8_t flag_history = 4;

enum class ValueTag : std::uint8_t { integer = 1, number = 2, text = 3, json = 4 };

void put_text(Bytes& out, std::string_view text) {
    put_u32(out, static_cast<std::uint32_t>(text.size()));
    out += text;
}

void put_value(Bytes& out, const thing::Value& value) {
    if (const auto* integer = std::get_if<std::int64_t>(&value.data)) {
        put_u8(out, static_cast<std::uint8_t>(ValueTag::integer));
        put_u64(out, static_cast<std::uint64_t>(*integer));
    } else if (const auto* number = std::get_if<double>(&value.data)) {
        put_u8(out, static_cast<std::uint8_t>(ValueTag::number));
        put_u64(out, std::bit_cast<std::uint64_t>(*number));
    } else if (const auto* text = std::get_if<std::string>(&value.data)) {
        put_u8(out, static_cast<std::uint8_t>(ValueTag::text));
        put_text(out, *text);
    } else {
        put_u8(out, static_cast<std::uint8_t>(ValueTag::json));
        put_text(out, std::get<thing::Value::Composite>(value.data).json);
    }
}

std::uint8_t form_of(const IngressRecord& record) {
    if (record.kind == RecordKind::run)
        return record_form;
    return record.history ? record_form_told : record_form_plain;
}

/// The uplink mark, and in a record of kind run which one begins.
void read_mark(Reader& in, IngressRecord& record) {
    record.gateway = static_cast<DeviceId>(in.u64());
    record.store = std::string(in.prefixed());
    record.seq = in.u64();
    record.low = in.u64();
    if (in.ok() && record.gateway == 0)
        in.fail(Errc::corrupt, "a mark without a gateway");
    if (record.kind != RecordKind::run)
        return;
    record.run = std::string(in.view(record_run_bytes));
    if (in.ok() && record.seq == 0)
        in.fail(Errc::corrupt, "a run that begins before the first number");
}

thing::Value read_value(Reader& in) {
    thing::Value value;
    switch (static_cast<ValueTag>(in.u8())) {
    case ValueTag::integer:
        value.data = static_cast<std::int64_t>(in.u64());
        break;
    case ValueTag::number:
        value.data = std::bit_cast<double>(in.u64());
        break;
    case ValueTag::text:
        value.data = std::string(in.view(in.u32()));
        break;
    case ValueTag::json:
        value.data = thing::Value::Composite{std::string(in.view(in.u32()))};
        break;
    default:
        in.fail(Errc::corrupt, "unknown value tag");
    }
    return value;
}

} // namespace

void encode_record(const IngressRecord& record, Bytes& out) {
    const bool marked = record.gateway != 0;
    put_u8(out, form_of(record));
    put_u8(out, static_cast<std::uint8_t>(record.kind));
    const unsigned flags =
        (record.replay ? flag_replay : 0U) | (marked ? flag_mark : 0U) | (record.history ? flag_history : 0U);
    put_u8(out, static_cast<std::uint8_t>(flags));
    put_u64(out, static_cast<std::uint64_t>(record.device));
    put_u64(out, static_cast<std::uint64_t>(record.received_ms));
    if (marked) {
        put_u64(out, static_cast<std::uint64_t>(record.gateway));
        put_prefixed(out, record.store);
        put_u64(out, record.seq);
        put_u64(out, record.low);
        if (record.kind == RecordKind::run)
            out += record.run;
    }
    put_u32(out, static_cast<std::uint32_t>(record.samples.size()));
    for (const IngressSample& sample : record.samples) {
        put_u32(out, static_cast<std::uint32_t>(sample.property));
        put_u64(out, static_cast<std::uint64_t>(sample.time_ms));
        put_value(out, sample.value);
    }
}

Result<IngressRecord> decode_record(ByteView bytes) {
    Reader in(bytes, "ingress record");
    IngressRecord record;
    const std::uint8_t form = in.u8();
    if (in.ok() && form > record_form)
        in.fail(Errc::unsupported, "written by a newer version");
    if (in.ok() && form == 0)
        in.fail(Errc::corrupt, "no form number");
    const std::uint8_t kind = in.u8();
    record.kind = static_cast<RecordKind>(kind);
    const bool is_run = record.kind == RecordKind::run;
    if (in.ok() && (kind < 1 || kind > 4 || is_run != (form == record_form)))
        in.fail(Errc::corrupt, "unknown kind");
    const unsigned flags = in.u8();
    const unsigned known = flag_replay | flag_mark | (form == record_form_told ? flag_history : 0U);
    if (in.ok() && ((flags & ~known) != 0 || (is_run && (flags & flag_mark) == 0)))
        in.fail(Errc::corrupt, "unknown flags");
    record.replay = (flags & flag_replay) != 0;
    record.history = (flags & flag_history) != 0;
    record.device = static_cast<DeviceId>(in.u64());
    record.received_ms = static_cast<std::int64_t>(in.u64());
    if (in.ok() && (flags & flag_mark) != 0)
        read_mark(in, record);
    const std::uint32_t count = in.u32();
    if (in.ok() && count > samples_max)
        in.fail(Errc::corrupt, "too many samples");
    for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
        IngressSample sample;
        sample.property = static_cast<PropertyId>(in.u32());
        sample.time_ms = static_cast<std::int64_t>(in.u64());
        sample.value = read_value(in);
        record.samples.push_back(std::move(sample));
    }
    return in.finish(std::move(record));
}

} // namespace brim::hub
