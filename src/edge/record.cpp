#include "edge/record.h"

namespace brim::edge {

namespace {
constexpr std::uint8_t report_format = 1;
} // namespace

Bytes encode_report(ReportKind kind, WallTime time, std::string_view topic, ByteView payload) {
    Bytes out;
    out.reserve(12 + topic.size() + payload.size());
    put_u8(out, report_format);
    put_u8(out, static_cast<std::uint8_t>(kind));
    put_u64(out, static_cast<std::uint64_t>(time.ms));
    put_prefixed(out, topic);
    out.append(payload);
    return out;
}

Result<Report> decode_report(ByteView record) {
    Reader in(record, "stored report");
    const std::uint8_t format = in.u8();
    if (in.ok() && format > report_format) {
        return fail(
            Errc::unsupported,
            "stored report",
            "its format is newer than this program",
            "start the newer version"
        );
    }
    Report report;
    const std::uint8_t kind = in.u8();
    if (format == 0 || kind < 1 || kind > 3)
        in.fail(Errc::malformed, "unknown format or kind");
    report.kind = static_cast<ReportKind>(kind);
    report.time.ms = static_cast<std::int64_t>(in.u64());
    report.topic = in.prefixed();
    report.payload = in.rest();
    const auto topic = thing::parse_topic(report.topic);
    if (topic.product_key.empty() || topic.device_name.empty())
        in.fail(Errc::malformed, "topic names no device");
    report.product_key = topic.product_key;
    report.device_name = topic.device_name;
    return in.finish(report);
}

} // namespace brim::edge
