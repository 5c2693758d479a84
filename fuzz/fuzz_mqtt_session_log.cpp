// The session log's recovery from hostile bytes: records of any content are folded and given to a broker,
// which must then keep its promises to the sessions it has, write an image of itself, and read that back as
// the same.

#include "base/assert.h"
#include "mqtt/broker.h"
#include "mqtt/internal/session_fold.h"

#include <cstdint>
#include <cstdlib>

namespace {

using namespace brim;
using namespace brim::mqtt;

void require(bool held) {
    if (!held)
        std::abort();
}

class Host final : public BrokerHost {
public:
    void send(ConnId, ByteView) override {}

    void close(ConnId) override {}

    void pause(ConnId, bool) override {}

    void on_connect(ConnId conn, const Connect& connect) override {
        Admission admission;
        admission.session_key = connect.client_id;
        broker->accept(conn, admission, Mono{std::chrono::seconds{1'000}});
    }

    bool authorise(const ConnView&, Action, std::string_view) override { return true; }

    Verdict on_publish(const ConnView&, const MessagePtr&, AckToken) override { return Verdict::route; }

    void on_up(const ConnView&) override {}

    void on_down(const ConnView&, Ended) override {}

    void on_dropped(std::string_view, std::string_view, std::uint64_t) override {}

    Broker* broker = nullptr;
};

/// Writes entries into one record and nothing else.
class Recorder final : public Journal {
public:
    explicit Recorder(JournalNumber last) : last_(last) { put_head(record, {}); }

    JournalNumber last() const override { return last_; }

    ReasonCode refusal(Promise) const override { return ReasonCode::success; }

    KeptId new_session() override { return ++sessions_; }

    void session(KeptId id, const KeptFacts& facts) override {
        put(EntryKind::session, [&](Bytes& out) {
            put_u32(out, id);
            put_facts(out, facts, clock);
        });
    }

    void session_gone(KeptId id) override {
        put(EntryKind::session_gone, [&](Bytes& out) { put_u32(out, id); });
    }

    void subscribed(
        KeptId id, std::string_view filter, const SubscriptionOptions& options, bool, bool has_replay
    ) override {
        put(EntryKind::subscribed, [&](Bytes& out) {
            put_u32(out, id);
            put_prefixed(out, filter);
            put_u32(out, options.id);
            put_u8(out, options.qos);
            put_u8(out, has_replay ? 4 : 0);
        });
    }

    void unsubscribed(KeptId, std::string_view) override { ++last_; }

    void replayed(KeptId, const KeptReplay&, bool) override { ++last_; }

    void message(const Message&, std::span<const KeptReceiver>, bool) override { ++last_; }

    void done(KeptId, std::uint64_t, JournalNumber) override { ++last_; }

    void received(KeptId, std::uint64_t, JournalNumber) override { ++last_; }

    void inbound(KeptId id, std::uint16_t packet_id) override {
        put(EntryKind::inbound, [&](Bytes& out) {
            put_u32(out, id);
            put_u16(out, packet_id);
        });
    }

    void released(KeptId, std::uint16_t) override { ++last_; }

    void retained_gone(std::string_view) override { ++last_; }

    void release(JournalNumber) override {}

    void image_begin(KeptId id, const KeptFacts& facts, std::uint64_t next_sequence) override {
        put(EntryKind::image_begin, [&](Bytes& out) {
            put_u32(out, id);
            put_u64(out, next_sequence);
            put_facts(out, facts, clock);
        });
    }

    void image_place(KeptId id, const KeptPlace& place) override {
        ++places;
        if (place.number != 0)
            put(EntryKind::body, [&](Bytes& out) {
                put_u64(out, place.number);
                put_u8(out, 0);
                put_message(out, *place.message, clock);
            });
        put(EntryKind::image_place, [&](Bytes& out) {
            put_u32(out, id);
            put_u64(out, place.sequence);
            put_u64(out, place.number);
            put_delivery(out, place, place.subscription_ids);
        });
    }

    void image_end(KeptId id) override {
        put(EntryKind::image_end, [&](Bytes& out) { put_u32(out, id); });
    }

    void image_retained(const Message& message, JournalNumber number) override {
        put(EntryKind::body, [&](Bytes& out) {
            put_u64(out, number);
            put_u8(out, 1);
            put_message(out, message, clock);
        });
    }

    void mark(EntryKind kind) {
        put(kind, [](Bytes&) {});
    }

    Bytes record;
    LogClock clock{1'000'000, Mono{std::chrono::seconds{1'000}}};
    std::size_t places = 0;

private:
    template <class Fill> void put(EntryKind kind, Fill fill) {
        ++last_;
        put_entry(record, kind, fill);
    }

    JournalNumber last_;
    KeptId sessions_ = 0;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    // Records: a length (2) and the bytes behind a good head, so that the entries are what is tried.
    Reader in(ByteView(reinterpret_cast<const char*>(data), size), "input");
    SessionFold fold(true);
    while (in.more()) {
        const std::size_t length = in.u16();
        Bytes record;
        put_head(record, {session_record_version, 1'000'000, 1});
        record += in.view(std::min(length, in.remaining()));
        if (fold.apply(record) == SessionFold::Applied::newer_format)
            return 0;
    }
    Recorder recorder(fold.last());
    RestoredState state = fold.finish(recorder.clock);

    const Mono now{std::chrono::seconds{1'000}};
    Host host;
    Broker broker(host, {}, &recorder);
    host.broker = &broker;
    broker.restore(std::move(state), now);
    broker.tick(now);
    recorder.record.clear();
    put_head(recorder.record, {});
    recorder.mark(EntryKind::snapshot_begin);
    recorder.places = 0;
    ImagePlace at;
    while (!broker.write_image(at, 3)) {
    }
    recorder.mark(EntryKind::snapshot_end);

    SessionFold again(false);
    require(again.apply(recorder.record) == SessionFold::Applied::all);
    const RestoredState same = again.finish(recorder.clock);
    require(again.counts().lost_references == 0);
    require(same.sessions.size() == broker.stats().sessions);
    require(same.retained.size() == broker.stats().retained);
    std::size_t places = 0;
    for (const RestoredSession& session : same.sessions)
        places += session.places.size();
    require(places == recorder.places);
    return 0;
}
