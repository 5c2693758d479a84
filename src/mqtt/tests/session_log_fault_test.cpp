// A disk that fails, is full or gives back something else; and the room a session log takes.

#include "mqtt/internal/session_record.h"
#include "mqtt/tests/session_log_rig.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <optional>

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

namespace {

void fail_syncs(KeptRig& rig, std::uint64_t times = 1'000) {
    rig.disk().add_fault({.kind = io::DiskFault::Kind::io_error, .op = io::DiskOp::sync, .times = times});
}

/// An offline session that is subscribed to "k/#" at QoS 2.
void leave_kept(KeptRig& rig, std::string_view id = "kept") {
    Peer kept(*rig.bench);
    join_kept(rig, kept, id);
    REQUIRE(subscribe_kept(rig, kept, "k/#", 2) == ReasonCode::granted_qos2);
    kept.disconnect();
    rig.run();
}

std::string read_all(KeptRig& rig, std::string_view id = "kept") {
    Peer kept(*rig.bench);
    REQUIRE(join_kept(rig, kept, id).session_present);
    std::string all;
    for (Received received = kept.next(); received.type == PacketType::publish; received = kept.next())
        all += decode_publish(received.frame(), ProtocolVersion::v5, Sender::server, {})->payload;
    return all;
}

} // namespace

TEST_CASE("[B-81] [B-88] a failing disk: MQTT 5 is told, 3.x is closed, nothing acknowledged is lost") {
    KeptRig rig;
    rig.start();
    leave_kept(rig);
    Peer v5(*rig.bench);
    v5.join("v5");
    v5.publish("k/1", "a", 1, 1);
    rig.run();
    CHECK(v5.acked(PacketType::puback).reason == ReasonCode::success);

    fail_syncs(rig);
    Peer v311(*rig.bench, ProtocolVersion::v311);
    v311.join("v311");
    Peer joining(*rig.bench);
    Connect packet;
    packet.client_id = "joining";
    packet.session_expiry_s = 60;
    joining.connect(packet);
    v311.publish("k/1", "lost", 1, 1);
    v5.publish("k/1", "lost", 1, 2).publish("k/1", "lost", 2, 3);
    rig.run();
    // What was on its way when it failed.
    CHECK(v311.is_closed());
    CHECK(v5.acked(PacketType::puback).reason == ReasonCode::implementation_specific_error);
    CHECK(v5.acked(PacketType::pubrec).reason == ReasonCode::implementation_specific_error);
    CHECK(joining.connack().reason == ReasonCode::implementation_specific_error);
    CHECK(joining.is_closed());
    CHECK(rig.broker().stats().queued == 1);
    CHECK(rig.log->stats().is_failing);
    // What comes while it fails: refused at once, nothing gathers.
    const std::uint64_t live = rig.log->stats().live_bytes;
    for (std::uint16_t i = 0; i < 100; ++i) {
        v5.publish("k/1", "lost", 1, 4);
        CHECK(v5.acked(PacketType::puback).reason == ReasonCode::implementation_specific_error);
    }
    CHECK(rig.broker().stats().queued == 1);
    CHECK(rig.log->stats().live_bytes == live);
    // Who needs no disk is served.
    Peer fleeting(*rig.bench);
    fleeting.join("fleeting");
    CHECK(fleeting.subscribe("f", 1) == ReasonCode::granted_qos1);
    v5.publish("f", "served", 1, 5);
    CHECK(fleeting.message().payload == "served");
    CHECK(v5.acked(PacketType::puback).reason == ReasonCode::success);

    rig.disk().clear_faults();
    rig.pass(std::chrono::seconds{5});
    CHECK_FALSE(rig.log->stats().is_failing);
    v5.publish("k/2", "b", 1, 6);
    rig.run();
    CHECK(v5.acked(PacketType::puback).reason == ReasonCode::success);
    rig.power_cut(io::CutMode::lose_all);
    rig.start();
    CHECK(rig.log->stats().lost_references == 0);
    CHECK(read_all(rig) == "ab");
}

TEST_CASE("a disk that fails while another snapshot is written loses nothing either") {
    for (std::uint64_t nth = 1; nth <= 12; ++nth) {
        CAPTURE(nth);
        KeptRig rig;
        rig.options.compact_bytes_min = 2'000;
        rig.start();
        leave_kept(rig);
        Peer publisher(*rig.bench);
        publisher.join("publisher");
        rig.disk().add_fault({.kind = io::DiskFault::Kind::io_error, .nth = nth, .times = 3});
        std::string acked;
        for (int i = 0; i < 40; ++i) {
            const std::string payload(1, static_cast<char>('A' + i));
            publisher.publish("k/1", payload, 1, 1);
            rig.run(std::chrono::milliseconds{100});
            if (publisher.acked(PacketType::puback).reason == ReasonCode::success)
                acked += payload;
        }
        CHECK(acked.size() >= 10);
        rig.power_cut(io::CutMode::lose_all);
        rig.start();
        CHECK(read_all(rig) == acked);
    }
}

TEST_CASE("[F-53] a log that holds as much as it may refuses with 0x97 and goes on when there is room") {
    KeptRig rig;
    rig.options.bytes_max = 8'388'608; // a quarter of it may be in use
    rig.limits.queue_bytes_max = 1'000'000'000;
    rig.limits.queue_count_max = 1'000'000;
    rig.start();
    leave_kept(rig);
    Peer publisher(*rig.bench);
    publisher.join("publisher");
    const std::string payload(100'000, 'x');
    int taken = 0;
    ReasonCode reason = ReasonCode::success;
    for (; taken < 100 && reason == ReasonCode::success; ++taken) {
        publisher.publish("k/1", payload, 1, 1);
        rig.run(std::chrono::milliseconds{20});
        reason = publisher.acked(PacketType::puback).reason;
    }
    --taken;
    CHECK(reason == ReasonCode::quota_exceeded);
    CHECK(taken == 21); // 2 MiB, and the one that went over it
    Peer other(*rig.bench);
    Connect packet;
    packet.client_id = "other";
    packet.session_expiry_s = 60;
    other.connect(packet);
    CHECK(other.connack().reason == ReasonCode::quota_exceeded);
    // Its session may come back and take what it has: that makes room.
    CHECK(read_all(rig).size() == 21 * payload.size());
    {
        Peer kept(*rig.bench);
        join_kept(rig, kept, "kept");
        for (int i = 0; i < 21; ++i)
            kept.ack(PacketType::puback, kept.message().packet_id);
    }
    rig.run();
    publisher.publish("k/1", "again", 1, 1);
    rig.run();
    CHECK(publisher.acked(PacketType::puback).reason == ReasonCode::success);
}

TEST_CASE("[B-07] the disk returns to its base when sessions expire with what they never took") {
    KeptRig rig;
    rig.start();
    Peer publisher(*rig.bench);
    publisher.join("publisher");
    for (int i = 0; i < 200; ++i) {
        Peer kept(*rig.bench);
        const std::string id = "kept" + std::to_string(i);
        join_kept(rig, kept, id, false, 60);
        subscribe_kept(rig, kept, "s/" + id, 1);
        kept.disconnect();
        for (std::uint16_t k = 1; k <= 10; ++k)
            publisher.publish("s/" + id, std::string(4'000, 'x'), 1, k);
        rig.run(std::chrono::milliseconds{10});
        for (int k = 0; k < 10; ++k)
            publisher.acked(PacketType::puback);
    }
    CHECK(rig.log->stats().messages == 2'000);
    CHECK(rig.log->stats().live_bytes >= 8'000'000);
    CHECK(rig.log->stats().disk_bytes >= 8'000'000);
    rig.pass(std::chrono::seconds{130});
    CHECK(rig.broker().stats().sessions == 1);
    CHECK(rig.log->stats().sessions == 0);
    CHECK(rig.log->stats().messages == 0);
    CHECK(rig.log->stats().live_bytes == 0);
    CHECK(rig.log->stats().snapshots >= 1);
    CHECK(rig.log->stats().disk_bytes <= 2 * rig.options.segment_bytes);
}

TEST_CASE("the log stays within twice what is live and a little more, however much passes through") {
    KeptRig rig;
    rig.start();
    Peer kept(*rig.bench);
    join_kept(rig, kept, "kept");
    subscribe_kept(rig, kept, "k", 1);
    Peer publisher(*rig.bench);
    publisher.join("publisher");
    std::uint64_t most = 0;
    for (int i = 0; i < 3'000; ++i) {
        publisher.publish("k", std::string(4'000, 'x'), 1, 1);
        rig.run(std::chrono::milliseconds{10});
        publisher.acked(PacketType::puback);
        kept.ack(PacketType::puback, kept.message().packet_id);
        most = std::max(most, rig.log->stats().disk_bytes);
    }
    CHECK(rig.log->stats().snapshots >= 5);
    CHECK(most <= 5 * rig.options.segment_bytes);
    rig.restart();
    CHECK(rig.log->stats().restored_sessions == 1);
    CHECK(rig.log->stats().restored_messages <= 1);
}

TEST_CASE("[B-58] [B-82] a damaged record costs what it held, is counted, and the rest comes back") {
    KeptRig rig;
    rig.start();
    leave_kept(rig, "one");
    leave_kept(rig, "two");
    Peer publisher(*rig.bench);
    publisher.join("publisher");
    for (std::uint16_t i = 1; i <= 9; ++i) {
        publisher.publish("k/1", std::to_string(i), 1, i);
        rig.run();
    }
    rig.kill();
    std::string file;
    for (const auto& path : rig.disk().paths())
        file = path.ends_with(".log") ? path : file;
    const std::size_t at = rig.disk().content(file).find("k/1", 0);
    const std::size_t third =
        rig.disk().content(file).find("k/1", rig.disk().content(file).find("k/1", at + 3) + 3);
    REQUIRE(third != std::string::npos);
    REQUIRE(rig.disk().corrupt(file, third, "KKK"));
    rig.start();
    CHECK(rig.log->stats().lost_records == 1);
    CHECK(rig.log->stats().is_failing); // until all that is left is written anew
    rig.pass(std::chrono::seconds{3});
    CHECK_FALSE(rig.log->stats().is_failing);
    CHECK(rig.log->stats().snapshots == 1);
    rig.restart();
    CHECK(rig.log->stats().lost_records == 0);
    CHECK(rig.log->stats().lost_references == 0);
    CHECK(read_all(rig, "one") == "12456789");
    CHECK(read_all(rig, "two") == "12456789");
}

TEST_CASE("[B-58] with any bit of a small store changed, or cut at any byte, it opens with what is left or "
          "is refused by name") {
    SessionLogOptions options = small_log();
    options.segment_bytes = 65'536;
    options.compact_bytes_min = 65'536;
    std::vector<std::pair<std::string, Bytes>> healthy;
    {
        KeptRig rig(1, options);
        rig.start();
        leave_kept(rig);
        Peer publisher(*rig.bench);
        publisher.join("publisher");
        for (std::uint16_t i = 1; i <= 3; ++i) {
            publisher.publish("k/1", std::to_string(i), 1, i, true);
            rig.run();
        }
        rig.kill();
        for (const auto& path : rig.disk().paths())
            healthy.emplace_back(path, rig.disk().content(path));
    }
    std::size_t whole = 0;
    std::size_t refused = 0;
    std::size_t part = 0;
    const auto open_with = [&](std::size_t which, const Bytes& damaged) {
        KeptRig rig(1, options);
        for (std::size_t i = 0; i < healthy.size(); ++i)
            rig.disk().put_file(healthy[i].first, i == which ? damaged : healthy[i].second);
        const auto started = rig.start_or_error();
        if (!started) {
            ++refused;
            CHECK(started.error().object.find(options.folder) != std::string::npos);
            return;
        }
        rig.run(std::chrono::seconds{1});
        Peer kept(*rig.bench);
        std::string got;
        if (join_kept(rig, kept, "kept").session_present) {
            for (Received received = kept.next(); received.type == PacketType::publish;
                 received = kept.next())
                got += decode_publish(received.frame(), ProtocolVersion::v5, Sender::server, {})->payload;
        }
        whole += got == "123" ? 1 : 0;
        part += got == "123" ? 0 : 1;
        // In order, each once, and nothing that was not sent.
        if (std::string("123").find(got) == std::string::npos && got != "13")
            FAIL("got ", got);
        // And it goes on.
        REQUIRE(subscribe_kept(rig, kept, "later", 1) == ReasonCode::granted_qos1);
    };
    std::size_t cases = 0;
    for (std::size_t which = 0; which < healthy.size(); ++which) {
        const Bytes& content = healthy[which].second;
        const std::size_t used =
            content.find_last_not_of('\0') + 1; // segments are longer than what is in them
        for (std::size_t at = 0; at < used; ++at) {
            open_with(which, content.substr(0, at));
            for (unsigned bit = 0; bit < 8; ++bit) {
                Bytes damaged = content;
                damaged[at] = static_cast<char>(static_cast<unsigned char>(damaged[at]) ^ 1U << bit);
                open_with(which, damaged);
                ++cases;
            }
        }
    }
    CHECK(cases > 1'000);
    CHECK(whole > 0);
    CHECK(part > 0);
    MESSAGE(cases, " changed bits; whole ", whole, ", part ", part, ", refused ", refused);
}

TEST_CASE("entries of an unknown kind are skipped, kept aside and counted; a newer format stops the start") {
    KeptRig rig;
    const auto append = [&](std::uint8_t version) {
        auto log = store::Log::open(
            rig.machine().env(),
            {.folder = rig.options.folder,
             .segment_bytes = rig.options.segment_bytes,
             .bytes_max = rig.options.bytes_max,
             .record_bytes_max = rig.options.segment_bytes / 2,
             .when_full = store::WhenFull::reject}
        );
        REQUIRE(log.has_value());
        Bytes record;
        put_head(record, {version, 0, 5});
        put_entry(record, static_cast<EntryKind>(200), [](Bytes& out) { out += "later"; });
        REQUIRE((*log)->append(record).has_value());
        rig.world.run_for(std::chrono::seconds{1});
    };
    rig.start();
    leave_kept(rig);
    rig.kill();
    append(session_record_version);
    rig.machine().crash();
    rig.start();
    CHECK(rig.log->stats().unknown_entries == 1);
    CHECK(rig.log->stats().restored_sessions == 1);
    CHECK(std::ranges::any_of(rig.disk().paths(), [](const std::string& path) {
        return path.ends_with("/quarantine-6.record") || path.find("quarantine-") != std::string::npos;
    }));
    rig.pass(std::chrono::seconds{3});
    rig.kill();
    append(session_record_version + 1);
    rig.machine().crash();
    const auto refused = SessionLog::open(rig.machine().env(), rig.options);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == Errc::unsupported);
}

TEST_CASE("a client whose answers wait for a disk that hangs is not read from, and not forgotten") {
    KeptRig rig;
    rig.start();
    Peer kept(*rig.bench);
    join_kept(rig, kept, "kept");
    rig.disk().add_fault({
        .kind = io::DiskFault::Kind::slow,
        .op = io::DiskOp::sync,
        .times = 1,
        .delay = std::chrono::seconds{20},
    });
    std::size_t sent = 0;
    Subscribe packet;
    packet.packet_id = 1;
    packet.filters.push_back({"a", 1, false, false, RetainHandling::send});
    Bytes bytes;
    encode_subscribe(bytes, packet, ProtocolVersion::v5);
    for (sent = 0; sent < 100'000 && !rig.host().paused.contains(kept.id()); ++sent)
        kept.raw(bytes);
    CHECK(sent < 100'000);
    CHECK(kept.is_quiet());
    rig.pass(std::chrono::seconds{25});
    CHECK_FALSE(rig.host().paused.contains(kept.id()));
    CHECK(kept.next().type == PacketType::suback);
}

TEST_CASE("[B-17] [L2] a QoS 2 message whose record failed is taken when it is sent again") {
    KeptRig rig;
    rig.start();
    leave_kept(rig);
    std::optional<Peer> publisher(std::in_place, *rig.bench);
    join_kept(rig, *publisher, "publisher");
    fail_syncs(rig);
    publisher->publish("k/1", "once", 2, 7);
    publisher->cut(); // before it could be told
    rig.run();
    CHECK(rig.broker().stats().queued == 0);
    rig.disk().clear_faults();
    rig.pass(std::chrono::seconds{5});
    publisher.emplace(*rig.bench);
    CHECK(join_kept(rig, *publisher, "publisher").session_present);
    Publish again;
    again.topic = "k/1";
    again.payload = "once";
    again.qos = 2;
    again.packet_id = 7;
    again.dup = true;
    publisher->publish(again);
    rig.run();
    CHECK(publisher->acked(PacketType::pubrec).reason == ReasonCode::success);
    CHECK(read_all(rig) == "once");
}

TEST_CASE("the host hears when its own message is safe, or lost, or was never taken") {
    KeptRig rig;
    rig.start();
    std::vector<std::string> heard;
    const auto publish = [&](const std::string& topic) {
        rig.broker().publish(message(topic, "x", 1), rig.host().now, [&heard, topic](bool is_kept) {
            heard.push_back(topic + (is_kept ? " kept" : " lost"));
        });
    };
    publish("nobody/1");
    CHECK(heard == std::vector<std::string>{"nobody/1 kept"}); // nothing had to be written
    Peer kept(*rig.bench);
    join_kept(rig, kept, "kept");
    REQUIRE(subscribe_kept(rig, kept, "k/#", 1) == ReasonCode::granted_qos1);
    publish("k/1");
    publish("k/2");
    CHECK(heard.size() == 1);
    rig.run();
    CHECK(heard == std::vector<std::string>{"nobody/1 kept", "k/1 kept", "k/2 kept"});
    fail_syncs(rig);
    publish("k/3");
    rig.run();
    CHECK(heard.back() == "k/3 lost");
}
